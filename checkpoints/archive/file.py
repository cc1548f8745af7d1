"""The file of a backup: a SQLite database with the tables of today, and what Redis holds.

    every table of `sql.tables`   the rows, as they were at one moment
    archive_threads               the threads of the checkpointer, and when they expire
    archive_parts                 what their two keys hold; see `redis.keyspace`
    archive_later_runs            runs that came while the threads were read: they are taken back
    archive_info                  when and of what it was taken

It is migrated when it is restored, as any database of the service is.
"""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from sqlalchemy import BigInteger, Column, Double, LargeBinary, MetaData, Table, Text, inspect

from everturn.checkpoints.errors import BackupRefused
from everturn.checkpoints.sql.database import Database, open_database

_metadata = MetaData()

threads = Table(
    "archive_threads",
    _metadata,
    Column("thread_id", Text, primary_key=True),
    Column("expires_at", BigInteger),  # milliseconds since 1970; NULL is never
)
parts = Table(
    "archive_parts",
    _metadata,
    Column("thread_id", Text, nullable=False, index=True),
    Column("name", LargeBinary, nullable=False),
    Column("score", Double(asdecimal=False)),  # of a member of the index
    Column("value", LargeBinary),  # of a field of the data
)
later_runs = Table(
    "archive_later_runs",
    _metadata,
    Column("run_id", Text, primary_key=True),
    Column("thread_id", Text, nullable=False),
)
info = Table(
    "archive_info",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


@asynccontextmanager
async def new_archive(path: Path) -> AsyncIterator[Database]:
    """Make a file to be filled; it has its name once the block has ended, whole and on the disk.

    Raises:
        BackupRefused: there is a file of this name, or it cannot be made.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise BackupRefused(f"cannot make {path} ({error.strerror}): name another file") from error
    try:
        async with open_database(f"sqlite:///{partial.absolute()}", path.parent) as archive:
            await archive.write(_metadata.create_all)
            yield archive
        _make_one_file(partial)
        partial.replace(path)
    except BaseException:
        _remove(path, partial)
        raise


@asynccontextmanager
async def open_archive(path: Path) -> AsyncIterator[Database]:
    """Open a copy of a backup's file, brought to the tables of today; the file stays as it is.

    Raises:
        BackupRefused: it cannot be read, or is no backup.
        StoreMisconfigured: a newer Everturn has made it.
    """
    _check(path)
    with TemporaryDirectory(prefix="everturn-restore-", dir=path.parent) as folder:
        copy = Path(folder) / "archive.db"
        copyfile(path, copy)
        async with open_database(f"sqlite:///{copy}", Path(folder)) as archive:
            if not await archive.read(lambda c: inspect(c).has_table(info.name)):
                raise BackupRefused(f"{path} is no backup of Everturn.")
            yield archive


def _remove(path: Path, partial: Path) -> None:
    for each in (path, *path.parent.glob(f"{partial.name}*")):
        each.unlink(missing_ok=True)


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            begins = file.read(16)
    except OSError as error:
        raise BackupRefused(f"cannot read {path} ({error.strerror})") from error
    if begins != b"SQLite format 3\0":
        raise BackupRefused(f"{path} is no backup of Everturn.")


def _make_one_file(path: Path) -> None:
    """Take SQLite's log into the database: what is copied elsewhere is one file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
