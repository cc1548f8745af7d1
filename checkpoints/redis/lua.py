"""Lua scripts in one text, which are sent whole to a server that does not know them yet.

redis-py's own load a script into all primaries of a cluster, and so fail while any of them is away.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis import Redis as SyncRedis
from redis import RedisCluster as SyncRedisCluster
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError


class Lua:
    """A script, to be called with keys of one slot and its arguments."""

    def __init__(self, client: Redis | RedisCluster, source: str) -> None:
        self._client, self._source, self._sha = client, source, _sha(source)

    async def __call__(self, keys: Sequence[Any], args: Sequence[Any] = ()) -> Any:
        """Run it, and return its reply."""
        given = (len(keys), *keys, *args)
        try:
            return await self._client.execute_command("EVALSHA", self._sha, *given)
        except NoScriptError:  # a server that was restarted, or a replica that was promoted
            return await self._client.execute_command("EVAL", self._source, *given)


class SyncLua:
    """As `Lua`, for a synchronous client."""

    def __init__(self, client: SyncRedis | SyncRedisCluster, source: str) -> None:
        self._client, self._source, self._sha = client, source, _sha(source)

    def __call__(self, keys: Sequence[Any], args: Sequence[Any] = ()) -> Any:
        """Run it, and return its reply."""
        execute: Any = self._client.execute_command  # redis-py leaves it untyped
        given = (len(keys), *keys, *args)
        try:
            return execute("EVALSHA", self._sha, *given)
        except NoScriptError:
            return execute("EVAL", self._source, *given)


def _sha(source: str) -> str:
    return sha1(source.encode(), usedforsecurity=False).hexdigest()
