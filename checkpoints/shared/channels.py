"""The channels of Redis that a process listens to, by one connection that can be made again.

In a cluster each node passes on what is published at any other. The connection goes to one of them
by chance, so that a node that is lost costs the next try and no more.

redis-py makes a connection again by itself, without a word. What was published meanwhile would be
missed, and no one would look for it.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterPubSub
from redis.exceptions import RedisError

from everturn.checkpoints.errors import CheckpointsError, StoreUnavailable
from everturn.checkpoints.redis.failures import redis_errors

_QUIET_SECONDS = 5.0
"""Without a message, before the connection is checked; and until it is given up, unless it answers.

A connection to a machine that has lost its power looks quiet, too.
"""


class Channels:
    """`connect` and `next` raise StoreUnavailable; then `connect` again."""

    def __init__(self, client: Redis | RedisCluster, name: str) -> None:
        """Listen to one channel, once it is connected."""
        self._client = client
        self._names = {name}
        self._pubsub: Any = None
        self._checked = False

    async def connect(self) -> None:
        """Listen by a new connection to all channels there are."""
        pubsub, names = await self._new_pubsub(), {*self._names}
        try:
            with redis_errors():
                await pubsub.subscribe(*names)
        except BaseException:
            await _close(pubsub)
            raise
        before, self._pubsub, self._checked = self._pubsub, pubsub, False
        await _close(before)
        for name in self._names - names:  # added meanwhile
            await self.add(name)
        for name in names - self._names:
            await self.remove(name)

    async def _new_pubsub(self) -> Any:
        if not isinstance(self._client, RedisCluster):
            return _PubSub(self._client.connection_pool, ignore_subscribe_messages=True)
        with redis_errors():
            await self._client.initialize()
        node = self._client.get_random_node()
        return _ClusterPubSub(self._client, node=node, ignore_subscribe_messages=True)

    async def add(self, name: str) -> None:
        """Listen to a channel, too; where the connection is lost, by the next one."""
        self._names.add(name)
        with suppress(CheckpointsError), redis_errors():
            await self._pubsub.subscribe(name)

    async def remove(self, name: str) -> None:
        """Listen to a channel no more."""
        self._names.discard(name)
        with suppress(CheckpointsError), redis_errors():
            await self._pubsub.unsubscribe(name)

    async def next(self) -> Mapping[str, Any] | None:
        """Wait for a message; None where there was none for a while."""
        now = asyncio.get_running_loop().time
        began = now()
        with redis_errors():
            message: Mapping[str, Any] | None = await self._pubsub.get_message(
                timeout=_QUIET_SECONDS
            )
            # What is said of a new channel is no message, and no silence either.
            quiet = message is None and now() - began >= 0.9 * _QUIET_SECONDS
            if quiet and self._checked:
                raise StoreUnavailable("Redis does not answer: its connection is silent.")
            if quiet:
                await self._pubsub.ping()
            self._checked = quiet
        return message if message and message["type"] == "message" else None

    async def close(self) -> None:
        """Give the connection back."""
        await _close(self._pubsub)


class _PubSub(PubSub):
    """Is lost with its connection."""

    async def on_connect(self, connection: Any) -> None:
        """Break a connection that was made again, so that all who use it learn of the loss."""
        await connection.disconnect(nowait=True)
        raise RedisError("the connection was lost")


class _ClusterPubSub(_PubSub, ClusterPubSub):
    pass


async def _close(pubsub: Any) -> None:
    if pubsub is not None:
        with suppress(CheckpointsError), redis_errors():
            await pubsub.aclose()
