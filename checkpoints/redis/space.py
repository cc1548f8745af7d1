"""The room that a Redis takes, in its memory and in its append-only file."""

from typing import Any, NamedTuple

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.errors import StoreMisconfigured
from everturn.checkpoints.redis.failures import redis_errors

_LEAST_FILE = 1_048_576
_MAX_TIMES = 4
"""A file that is so many times as large as the data holds mostly what is deleted."""


class RedisSpace(NamedTuple):
    """Bytes, as the server counts them; 0 where it does not say."""

    data: int
    """Of all keys, those of other applications at the same server included."""
    file: int
    """Of the append-only file."""
    rewriting: bool


async def redis_space(client: Redis | RedisCluster) -> RedisSpace:
    """Ask a server; of a cluster nothing is known.

    Raises:
        StoreUnavailable: it does not answer.
    """
    if isinstance(client, RedisCluster):
        return RedisSpace(0, 0, rewriting=False)
    try:
        with redis_errors():
            memory: dict[str, Any] = await client.info("memory")
            disk: dict[str, Any] = await client.info("persistence")
    except StoreMisconfigured:  # a user without the right to ask
        return RedisSpace(0, 0, rewriting=False)
    data = int(memory.get("used_memory_dataset", 0))
    rewriting = bool(disk.get("aof_rewrite_in_progress") or disk.get("aof_rewrite_scheduled"))
    return RedisSpace(data, int(disk.get("aof_current_size", 0)), rewriting)


async def rewrite_file(client: Redis | RedisCluster, *, least: int = _LEAST_FILE) -> bool:
    """Have the append-only file written anew where it is much larger than the data.

    The server does so itself from 64 MB on. Returns whether it does it now.

    Raises:
        StoreUnavailable: it does not answer.
    """
    space = await redis_space(client)
    if (
        isinstance(client, RedisCluster)
        or space.rewriting
        or space.file <= least + _MAX_TIMES * space.data
    ):
        return False
    with redis_errors():
        await client.bgrewriteaof()
    return True
