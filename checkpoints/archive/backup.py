"""A backup, taken while the service runs.

    the rows, as they are at one moment -> the threads, one by one -> the runs that came meanwhile

The rows come first: whatever they say has ended has its checkpoints. A run that ends while the
threads are read is under way in the file; after the restore it goes on from its last checkpoint,
as after a crash, which finds it done.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis, RedisCluster
from sqlalchemy import Connection, insert

from everturn import __version__
from everturn.checkpoints.archive import file
from everturn.checkpoints.archive.rows import MANY_SECONDS, copy_rows, posted_since, snapshot
from everturn.checkpoints.archive.threads import KeptThread, KeptThreads
from everturn.checkpoints.sql.database import Database

_CLOCKS_APART = timedelta(minutes=5)
_BYTES_AT_ONCE = 16_777_216


class Copied(NamedTuple):
    """How much was copied."""

    rows: int
    threads: int


async def back_up(
    redis: Redis | RedisCluster, prefix: str, database: Database, path: Path
) -> Copied:
    """Write all that a service keeps into a new file.

    Not in it is what ends by itself: streams of runs, locks, caches, circuits.

    Raises:
        BackupRefused: there is a file of this name, or it cannot be made.
        StoreUnavailable: a store does not answer; there is no file then.
    """
    began = datetime.now(UTC)
    async with file.new_archive(path) as archive:
        rows = await database.read(lambda c: _copy(c, archive), seconds=MANY_SECONDS)
        threads = await _copy_threads(KeptThreads(redis, prefix), archive)
        since = began - _CLOCKS_APART
        known = await archive.read(lambda c: posted_since(c, since))
        there = await database.read(lambda c: posted_since(c, since))
        later = [
            {"run_id": run_id, "thread_id": thread_id}
            for run_id, thread_id in there.items()
            if run_id not in known
        ]
        about = {"taken_at": began.isoformat(), "everturn": __version__}
        said = [{"name": name, "value": value} for name, value in about.items()]

        def finish(connection: Connection) -> None:
            connection.execute(insert(file.info), said)
            if later:
                connection.execute(insert(file.later_runs), later)

        await archive.write(finish)
    return Copied(rows, threads)


def _copy(source: Connection, archive: Database) -> int:
    snapshot(source)
    with archive.sync_engine.begin() as target:  # a file of SQLite: it may be written from here
        return copy_rows(source, target)


async def _copy_threads(threads: KeptThreads, archive: Database) -> int:
    copied, waiting, size = 0, list[KeptThread](), 0
    async for thread in threads.read():
        waiting.append(thread)
        size += sum(map(len, thread.data.values()))
        copied += 1
        if size > _BYTES_AT_ONCE:
            await _write(archive, waiting)
            waiting, size = [], 0
    await _write(archive, waiting)
    return copied


async def _write(archive: Database, threads: list[KeptThread]) -> None:
    found = [{"thread_id": each.thread_id, "expires_at": each.expires_at} for each in threads]
    parts: list[dict[str, Any]] = []
    for each in threads:
        members = [(name, score, None) for name, score in each.index.items()]
        fields = [(name, None, value) for name, value in each.data.items()]
        parts += [
            {"thread_id": each.thread_id, "name": name, "score": score, "value": value}
            for name, score, value in (*members, *fields)
        ]
    if found:

        def work(connection: Connection) -> None:
            connection.execute(insert(file.threads), found)
            connection.execute(insert(file.parts), parts)

        await archive.write(work, seconds=MANY_SECONDS)
