"""Clients of a Redis Cluster, which may lose a primary at any time.

redis-py's own retry three times, even with a server that hangs; fail a call at once where a node
has all the connections it may have; close connections that others use, where slots have moved; and
fail while one moves.
"""

import asyncio
from collections import defaultdict
from contextvars import ContextVar
from typing import Any

import redis
import redis.asyncio as aio
from redis import exceptions
from redis.asyncio import cluster

from everturn.checkpoints.cancelling import cancelled
from everturn.checkpoints.redis.asking import Asking, node_named
from everturn.checkpoints.redis.connections import better
from everturn.checkpoints.redis.failures import hangs

CLUSTER_CHANGED = (
    redis.ConnectionError,
    exceptions.ClusterDownError,
    exceptions.SlotNotCoveredError,
)
_MAX_CALLS = 64
"""At once, at one node: redis-py opens at most 100 connections to it, some of them for others."""
_PAUSES = (0.0, 0.1)
"""Seconds before a call is made again, to whichever node serves it then."""
_PATIENCE = 20.0
"""Seconds a call waits for its turn, as with the pool of a single server."""

_calling: ContextVar[bool] = ContextVar("calling", default=False)


class Cluster(redis.RedisCluster):
    """Retries once, after a look at which node serves what; not after a silence."""

    def execute_command(self, *args: Any, **how: Any) -> Any:
        """Make a call."""
        execute: Any = super().execute_command  # redis-py leaves it untyped
        try:
            return execute(*args, **how)
        except CLUSTER_CHANGED as error:
            if hangs(error):
                raise
            return execute(*args, **how)


class AsyncCluster(aio.RedisCluster):
    """As `Cluster`, but asynchronous; and asks a node that failed last for the slots.

    redis-py does so only while it asks again, and else waits for the silent one anew.
    """

    _failed: str | None = None
    _look: asyncio.Task[Any] | None = None

    def __init__(self, *args: Any, **how: Any) -> None:
        """Connect nowhere yet; see redis-py for the arguments."""
        super().__init__(*args, **how)
        kind = better(self.connection_kwargs["connection_class"])
        self.connection_kwargs["connection_class"] = kind  # of the nodes that will be found
        for node in self.startup_nodes:
            node.connection_class = kind
        self._room: dict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_MAX_CALLS)
        )

    async def initialize(self, *args: Any, **how: Any) -> Any:
        """Ask which node serves what, if that is not known; once for all who ask meanwhile.

        Where no node answers, each would else wait for the silences of those before it.
        """
        if not self._initialize:
            return self
        if self._look is None or self._look.done():
            if self._failed:
                self.nodes_manager.move_node_to_end_of_cached_nodes(self._failed)
                how["last_failed_node_name"] = how.get("last_failed_node_name") or self._failed
            self._look = asyncio.create_task(super().initialize(*args, **how))
        return await asyncio.shield(self._look)

    def get_node(
        self, host: str | None = None, port: int | None = None, node_name: str | None = None
    ) -> Any:
        """Return a node, as redis-py does; in a call, that is one it is sent on to for once."""
        if node_name is not None and _calling.get():
            return Asking(node_named(self.nodes_manager, node_name))
        return super().get_node(host, port, node_name)

    def look_again(self) -> None:
        """Ask with the next call which node serves what."""
        self._initialize = True

    async def execute_command(self, *args: Any, **how: Any) -> Any:
        """Make a call; again, where the cluster has changed."""
        for pause in _PAUSES:
            try:
                return await self._once(*args, **how)
            except CLUSTER_CHANGED as error:
                if hangs(error) or isinstance(error, exceptions.MaxConnectionsError):
                    raise
            await asyncio.sleep(pause)
        return await self._once(*args, **how)

    async def _once(self, *args: Any, **how: Any) -> Any:
        try:
            await self.initialize()  # else redis-py asks any node, which refuses
            return await super().execute_command(*args, **how)
        except (*CLUSTER_CHANGED, redis.TimeoutError) as error:
            self._failed = getattr(error, "last_failed_node_name", self._failed)
            raise

    async def _execute_command(self, target_node: Any, *args: Any, **how: Any) -> Any:
        room = self._room[target_node.name]
        try:
            async with asyncio.timeout(_PATIENCE):
                await room.acquire()
        except TimeoutError:
            raise exceptions.MaxConnectionsError("Too many calls wait for Redis") from None
        calling = _calling.set(True)
        try:
            return await super()._execute_command(target_node, *args, **how)
        finally:
            _calling.reset(calling)
            room.release()

    async def aclose(self) -> None:
        """Close all connections.

        In the middle of a call redis-py does so to have the next one look which node serves what;
        others are using the connections meanwhile.
        """
        if _calling.get():
            self.look_again()
            return
        if self._look is not None:
            await cancelled(self._look)
        await super().aclose()

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:
        """Collect calls, which are made at once."""
        return _Pipeline(self, transaction)  # type: ignore[abstract]  # as redis-py does


class _Pipeline(cluster.ClusterPipeline):
    """Has its client look again where a node failed, which redis-py does for single calls only."""

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> Any:
        client: Any = self.cluster_client
        failed = (*CLUSTER_CHANGED, redis.TimeoutError)
        try:
            replies = await super().execute(raise_on_error, allow_redirections)
        except failed:
            client.look_again()
            raise
        if any(isinstance(each, failed) for each in replies):
            client.look_again()
        return replies
