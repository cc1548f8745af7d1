"""Makes the data of a version, for the tests of the versions after it.

    python -m tests.upgrades.make                       before a release: data of today's code
    python -m tests.upgrades.make --code CHECKOUT NAME  data of the code in another checkout

A set is a folder below `fixtures`: a data folder (SQLite and Valkey's append-only file), and a dump
of a PostgreSQL with the Redis beside it. It needs PostgreSQL, `pg_dump` and the embedded Valkey.
"""

import argparse
import asyncio
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

from sqlalchemy import URL

from everturn import __version__
from tests.checkpoints.redis.servers import serving, valkey_binary
from tests.checkpoints.stores import new_postgres_database
from tests.service import ROOT, Client, process
from tests.upgrades.data import ABOUT, DUMP, FIXTURES, FOLDER, FOLDER_PARTS, REDIS
from tests.upgrades.story import SETTINGS, Json, live

SOON = 86_400
"""Seconds: what ends before that, such as what runs streamed, is gone at any upgrade."""


def make(code: Path, name: str) -> Path:
    """Make a set by the code of a checkout."""
    made = FIXTURES / name
    made.mkdir(parents=True)
    about = {"folder": _data_folder(code, made), "servers": asyncio.run(_servers(code, made))}
    (made / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
    return made


def _play(code: Path, data_dir: Path, **environment: str) -> Json:
    of_code = {"PYTHONPATH": str(code), "EVERTURN_CONFIG": str(code / "langgraph.json")}
    with process(data_dir, **SETTINGS, **of_code, **environment) as running:
        with Client(running.url()) as client:
            made = live(client)
        assert running.stop() == 0
    return made


def _data_folder(code: Path, into: Path) -> Json:
    with tempfile.TemporaryDirectory(prefix="ev-") as folder:
        data_dir = Path(folder) / "data"
        made = _play(code, data_dir)
        with tarfile.open(into / FOLDER, "w:xz") as packed:
            for part in FOLDER_PARTS:
                packed.add(data_dir / part, part, filter=_anonymous)
    return made


def _anonymous(file: tarfile.TarInfo) -> tarfile.TarInfo:
    file.uid = file.gid = 0
    file.uname = file.gname = ""
    return file


async def _servers(code: Path, into: Path) -> Json:
    binary = valkey_binary()
    assert binary, "no embedded Valkey is installed"
    with tempfile.TemporaryDirectory(prefix="ev-") as folder, serving(binary) as redis:
        async with new_postgres_database() as database:
            url = database.render_as_string(hide_password=False)
            stores = {"EVERTURN_DATABASE_URL": url, "EVERTURN_REDIS_URL": redis.url}
            made = _play(code, Path(folder) / "data", **stores)
            (into / DUMP).write_text(_dump(database))
        with redis.admin() as client:
            for key in client.scan_iter(count=1000):
                if 0 <= client.ttl(key) < SOON:
                    client.delete(key)
            client.save()
        (into / REDIS).write_bytes((redis.folder / "dump.rdb").read_bytes())
    return made


def _dump(database: URL) -> str:
    """Write the tables as plain statements that any PostgreSQL takes."""
    plain = database.set(drivername="postgresql").render_as_string(hide_password=False)
    options = ("--inserts", "--no-owner", "--no-privileges")
    ran = subprocess.run(["pg_dump", *options, plain], capture_output=True, text=True, check=True)
    left_out = ("--", "\\", "SET ", "SELECT pg_catalog.set_config")  # of this version, or of psql
    lines = [line for line in ran.stdout.splitlines() if line and not line.startswith(left_out)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", default=__version__, help="of the set")
    parser.add_argument("--code", type=Path, default=ROOT, help="a checkout")
    options = parser.parse_args()
    print(make(options.code.resolve(), options.name))
