"""A backup back into stores, of whichever kind: the embedded ones, or Redis and PostgreSQL.

    nothing kept there? -> the threads -> what came after the moment of the backup is taken back
    -> the rows, in one commit

The rows come last, so that a restore that breaks off can be made again.
"""

from collections.abc import AsyncIterator
from pathlib import Path

from langgraph.checkpoint.base import BaseCheckpointSaver
from redis.asyncio import Redis, RedisCluster
from sqlalchemy import Connection, select

from everturn.checkpoints.archive import file
from everturn.checkpoints.archive.backup import Copied
from everturn.checkpoints.archive.rows import MANY_SECONDS, clear, copy_rows, is_empty
from everturn.checkpoints.archive.threads import KeptThread, KeptThreads
from everturn.checkpoints.errors import BackupRefused
from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.checkpoints.sql.database import Database


async def restore(
    path: Path,
    redis: Redis | RedisCluster,
    prefix: str,
    database: Database,
    saver: AsyncRedisSaver,
) -> Copied:
    """Put all that a backup holds into stores that are empty. No service may use them meanwhile.

    Args:
        path: the backup's file.
        redis: where the threads go, under `prefix`.
        prefix: what the names of all keys begin with.
        database: where the rows go.
        saver: reads the threads: what is encrypted needs the key of the service.

    Raises:
        BackupRefused: it is no backup, or something is kept there already.
        StoreMisconfigured: a newer Everturn has made it.
        StoreUnavailable: a store does not answer; the restore can be made again.
    """
    async with file.open_archive(path) as archive:
        if not await database.read(is_empty):
            raise BackupRefused(
                "There are threads, runs or other rows already: restore into an empty data folder "
                "or database, or move away what is there."
            )
        kept, threads = KeptThreads(redis, prefix), 0
        async for thread in _threads(archive):
            await kept.write(thread)
            threads += 1
        await _take_back(archive, saver)
        rows = await database.write(lambda c: _copy(archive, c), seconds=MANY_SECONDS)
    return Copied(rows, threads)


async def _threads(archive: Database) -> AsyncIterator[KeptThread]:
    known = select(file.threads.c.thread_id, file.threads.c.expires_at)
    for thread_id, expires_at in await archive.read(lambda c: c.execute(known).all()):
        own = select(file.parts).where(file.parts.c.thread_id == thread_id)
        parts = await archive.read(lambda c, own=own: c.execute(own).all(), seconds=MANY_SECONDS)  # type: ignore[misc]
        yield KeptThread(
            thread_id,
            {part.name: part.score for part in parts if part.value is None},
            {part.name: part.value for part in parts if part.value is not None},
            expires_at,
        )


async def _take_back(archive: Database, saver: BaseCheckpointSaver[str]) -> None:
    """Undo what runs have done that the rows do not know."""
    query = select(file.later_runs.c.thread_id, file.later_runs.c.run_id)
    later: dict[str, list[str]] = {}
    for thread_id, run_id in await archive.read(lambda c: c.execute(query).all()):
        later.setdefault(thread_id, []).append(run_id)
    for thread_id, run_ids in later.items():
        await saver.adelete_for_runs(run_ids, thread_id=thread_id)  # type: ignore[call-arg]


def _copy(archive: Database, target: Connection) -> int:
    clear(target)  # the assistants of the graphs, which the file has as well
    with archive.sync_engine.connect() as source:
        return copy_rows(source, target)
