"""`everturn migrate` makes the tables before any process serves, whoever else does the same."""

import asyncio
import re
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.migrations import HEAD, is_at_head
from tests.checkpoints.stores import in_database, new_postgres_database
from tests.forks import run
from tests.service import Process, killed, process
from tests.waiting import eventually


async def migrate(
    folder: Path, *options: str, url: str = "", forked: bool = True
) -> tuple[int, str]:
    """Run the command; returns its exit code, and what it said."""
    command = ["migrate", *options, "--data-dir", str(folder)]
    ran = await asyncio.to_thread(run, command, folder.parent, {"DATABASE_URL": url}, forked=forked)
    return ran.returncode, ran.stdout + ran.stderr


async def test_several_at_once_make_the_tables_once(tmp_path: Path) -> None:
    async with new_postgres_database() as address:
        url = address.render_as_string(hide_password=False)
        done = await asyncio.gather(*(migrate(tmp_path / "data", url=url) for _ in range(3)))
        assert {code for code, _ in done} == {0}
        assert all(f"revision {HEAD}" in said for _, said in done)
        assert not (tmp_path / "data").exists()  # of which a read-only container has none
        async with open_database(url, tmp_path, migrate=False) as database:
            assert await database.read(is_at_head)


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    async with new_postgres_database() as address:
        url = address.render_as_string(hide_password=False)
        assert (await migrate(tmp_path, url=url))[0] == 0
        async with open_database(url, tmp_path) as database:
            newer = text("UPDATE everturn.everturn_version SET version_num = '9999'")
            await in_database(database, newer)
        code, said = await migrate(tmp_path, url=url)
        assert (code, "9999" in said, "Traceback" in said) == (1, True, False)


async def test_a_database_that_is_away_is_waited_for(tmp_path: Path) -> None:
    nobody = "postgresql://nobody@127.0.0.1:1/none"
    code, said = await migrate(tmp_path, "--wait", "1", url=nobody)
    assert (code, "does not answer" in said, "Traceback" in said) == (1, True, False)


def catches_sigterm(pid: int) -> bool:
    caught = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
async def test_a_signal_ends_the_waiting(tmp_path: Path) -> None:
    nobody = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}

    class Migrating(Process):
        command = (sys.executable, "-m", "everturn.server", "migrate", "--wait", "600")

    with killed(Migrating(tmp_path / "data", **nobody)) as waiting:
        await eventually(lambda: catches_sigterm(waiting.popen.pid))
        assert await asyncio.to_thread(waiting.stop) == 128 + signal.SIGTERM
        assert "Traceback" not in "".join(waiting.log)


async def test_a_folder_that_a_service_uses_is_left_alone(data_dir: Path) -> None:
    assert (await migrate(data_dir, forked=False))[0] == 0
    with process(data_dir) as running:
        await asyncio.to_thread(running.url)
        code, said = await migrate(data_dir)
        assert (code, str(running.popen.pid) in said) == (1, True)
