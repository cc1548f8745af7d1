"""Stores of a rig's own, which it may pause, end and fill: a Redis and a PostgreSQL."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.checkpoints.redis.servers import Server, free_ports, redis_binary, serving
from tests.waiting import PATIENCE, eventually_sync

_QUIET = ("-c", "fsync=off", "-c", "max_wal_senders=0", "-c", "log_min_messages=fatal")


@contextmanager
def redis_server(*options: str) -> Iterator[Server]:
    """A Redis that keeps its data when it is restarted."""
    binary = redis_binary()
    if binary is None:
        raise RuntimeError("no Redis or Valkey server is installed")
    kept = ("--appendonly", "yes", "--appendfsync", "everysec")
    with serving(binary, *kept, *options, port=free_ports(1)[0]) as server:
        yield server


def postgres_folder() -> Path | None:
    """Where PostgreSQL's programs are; None where they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_the_path = shutil.which("postgres")
    if found:
        return found[-1].parent
    return Path(on_the_path).resolve().parent if on_the_path else None


@dataclass
class Postgres:
    """A PostgreSQL server."""

    programs: Path
    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        """Its address, for SQLAlchemy."""
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(
            [
                *(str(self.programs / "postgres"), "-D", str(self.folder / "data")),
                *("-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1"),
                *(*_QUIET, *self.options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=_user(),
        )
        eventually_sync(lambda: self.ready)

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        command = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def stop(self) -> None:
        """End it as an administrator in a hurry does: its clients are sent away."""
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(PATIENCE)

    def run(self, statement: str, database: str = "postgres") -> str:
        """Run a statement of the server's owner, and return what it says."""
        command = [
            *(str(self.programs / "psql"), "-h", "127.0.0.1", "-p", str(self.port)),
            *("-U", "postgres", "-d", database, "-qAtc", statement),
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout.strip()

    def new_database(self) -> str:
        """Make an empty database and return its name."""
        name = f"soak_{uuid4().hex}"
        self.run(f"CREATE DATABASE {name}")
        return name


@contextmanager
def postgres_server(*options: str) -> Iterator[Postgres]:
    """A PostgreSQL with settings of its command line."""
    programs = postgres_folder()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="ev-") as name:
        folder = Path(name)
        if user := _user():
            shutil.chown(folder, user)
        folder.chmod(0o711)
        command = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres"]
        options_of_initdb = ["-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        subprocess.run([*command, *options_of_initdb], check=True, capture_output=True, user=user)
        server = Postgres(programs, folder, free_ports(1)[0], options)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _user() -> str | None:
    """PostgreSQL refuses to be root's."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return None
