"""Chat sessions as earlier versions kept them in Redis: found at the start, and made threads.

{everturn:sessions}:id:<id>   HASH  created (µs), ends (ms), context (JSON); expires then
{everturn:sessions}:created   ZSET  id by its creation (µs)
{everturn:sessions}:expires   ZSET  id by its end (ms)
"""

import json
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis, RedisCluster
from structlog import get_logger

from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.sql.threads import Thread, ThreadTable, new_session

log = get_logger(__name__)

_BATCH = 500


async def move_sessions(
    client: Redis | RedisCluster, table: ThreadTable, *, prefix: str, lifetime: int
) -> int:
    """Make a thread of each session that lives, and delete it; returns how many there were.

    Interrupted, it goes on at the next start: a session is deleted when its thread is stored.

    Raises:
        StoreUnavailable: Redis or the database does not answer.
    """
    name = f"{{{prefix}:sessions}}"
    moved = 0
    with redis_errors():
        while ids := await client.zrange(f"{name}:created", 0, _BATCH - 1):
            for session_id in (bytes(each).decode() for each in ids):  # type: ignore[arg-type]  # redis-py also knows other forms
                key = f"{name}:id:{session_id}"
                created, ends, context = await client.hmget(key, ["created", "ends", "context"])
                if created and ends and context:
                    session = _thread(session_id, created, ends, context, lifetime)
                    if not await table.create(session):  # a run had taken the id for its thread
                        await table.make_session(session)
                    moved += 1
                await client.unlink(key)
                await client.zrem(f"{name}:created", session_id)
        await client.unlink(f"{name}:expires")
    if moved:
        log.info("sessions_moved", sessions=moved)
    return moved


def _thread(
    session_id: str, created: bytes | str, ends: bytes | str, context: bytes | str, lifetime: int
) -> Thread:
    return new_session(
        session_id,
        json.loads(context),
        lifetime=lifetime,
        created_at=_moment(int(created)),
        expires_at=_moment(int(ends) * 1000),
    )


def _moment(microseconds: int) -> datetime:
    """Exact, unlike `fromtimestamp` of a float."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
