"""What belongs to nothing any more, and what should be there and is not."""

from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from functools import partial

from redis.asyncio import Redis, RedisCluster
from sqlalchemy import Connection, exists, func, or_, select, update

from everturn.checkpoints.checkup.finding import Finding
from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.keyspace import Keyspace
from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.runs import UNFINISHED
from everturn.checkpoints.sql.tables import runs, threads

_AT_ONCE = 500
_EVENTS_SECONDS = 300
_SECONDS = 600.0

_UNDER_WAY = exists().where(runs.c.thread_id == threads.c.thread_id, runs.c.status.in_(UNFINISHED))
_BUSY_FOR_NOTHING = (threads.c.status == "busy") & ~_UNDER_WAY


async def look_for_orphans(
    client: Redis | RedisCluster, prefix: str, database: Database, living: Collection[str] | None
) -> AsyncIterator[Finding]:
    """Compare the stores with each other.

    Args:
        client: where checkpoints and streams are, under `prefix`.
        prefix: what the names of all keys begin with.
        database: where the rows are.
        living: the processes of the service; None if it is not known which runs are theirs.
    """
    if living is not None:
        orphaned = or_(runs.c.owner.is_(None), runs.c.owner.not_in(living))
        waiting = select(func.count()).where(runs.c.status.in_(UNFINISHED), orphaned)
        if count := await database.search(lambda c: c.scalar(waiting), seconds=_SECONDS):
            says = f"{count} have no process: the next that starts goes on with them"
            yield Finding("warning", "runs", says)
    busy = select(func.count()).select_from(threads).where(_BUSY_FOR_NOTHING)
    if count := await database.search(lambda c: c.scalar(busy), seconds=_SECONDS):
        says = f"{count} are busy without a run"
        yield Finding("warning", "threads", says, partial(database.write, _set_idle))
    if count := await _without_checkpoints(client, prefix, database):
        says = (
            f"{count} have runs that ended well, and no checkpoints: Redis has lost them, and "
            "these conversations begin anew; see appendonly and maxmemory-policy, or a backup"
        )
        yield Finding("warning", "threads", says)
    if streams := await _lasting_streams(client, prefix):
        says = f"{len(streams)} will stay for ever"
        yield Finding("warning", "streams", says, partial(_let_expire, client, streams))


def _set_idle(connection: Connection) -> None:
    connection.execute(update(threads).where(_BUSY_FOR_NOTHING).values(status="idle"))


async def _without_checkpoints(
    client: Redis | RedisCluster, prefix: str, database: Database
) -> int:
    """Count the threads that have lived and have no memory of it; sessions that ended do not."""
    keyspace, last, count = Keyspace(prefix), "", 0
    lived = exists().where(runs.c.thread_id == threads.c.thread_id, runs.c.status == "success")
    alive = or_(threads.c.expires_at.is_(None), threads.c.expires_at > datetime.now(UTC))
    while True:
        page = (
            select(threads.c.thread_id)
            .where(threads.c.thread_id > last, lived, alive)
            .order_by(threads.c.thread_id)
            .limit(_AT_ONCE)
        )
        ids = await database.search(lambda c, page=page: list(c.scalars(page)), seconds=_SECONDS)  # type: ignore[misc]
        if not ids:
            return count
        with redis_errors():
            async with client.pipeline(transaction=False) as pipeline:
                for thread_id in ids:
                    pipeline.exists(keyspace.thread(thread_id)[1])
                count += (await pipeline.execute()).count(0)
        last = ids[-1]


async def _lasting_streams(client: Redis | RedisCluster, prefix: str) -> list[bytes]:
    with redis_errors():
        keys = [key async for key in client.scan_iter(f"{{{prefix}:run:*}}:events", count=1000)]
        return [key for key in keys if await client.ttl(key) == -1]


async def _let_expire(client: Redis | RedisCluster, keys: list[bytes]) -> None:
    with redis_errors():
        for key in keys:
            await client.expire(key, _EVENTS_SECONDS, nx=True)
