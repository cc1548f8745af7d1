"""The room that a Redis takes, in its memory and in its append-only file."""

from typing import NamedTuple

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.errors import StoreMisconfigured
from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.info import infos

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
    """Ask a server; of a cluster, add up what its primaries say.

    Raises:
        StoreUnavailable: it does not answer.
    """
    try:
        with redis_errors():
            found = (await infos(client)).values()
    except StoreMisconfigured:  # a user without the right to ask
        return RedisSpace(0, 0, rewriting=False)
    return RedisSpace(
        sum(int(each.get("used_memory_dataset", 0)) for each in found),
        sum(int(each.get("aof_current_size", 0)) for each in found),
        any(
            each.get("aof_rewrite_in_progress") or each.get("aof_rewrite_scheduled")
            for each in found
        ),
    )


async def rewrite_file(client: Redis | RedisCluster, *, least: int = _LEAST_FILE) -> bool:
    """Have the append-only file written anew where it is much larger than the data.

    The server does so itself from 64 MB on. Returns whether it does it now.

    Raises:
        StoreUnavailable: it does not answer.
    """
    if isinstance(client, RedisCluster):  # whose operators see to each of its nodes
        return False
    space = await redis_space(client)
    if space.rewriting or space.file <= least + _MAX_TIMES * space.data:
        return False
    with redis_errors():
        await client.bgrewriteaof()
    return True
