"""The other processes of this service: which are alive, and the messages between them.

    {everturn:processes}           ZSET     process by its last heartbeat (ms of Redis' clock)
    everturn:messages              channel  messages for all, as JSON
    everturn:run:<run id>:news     channel  the run's event log has grown

Messages are hints: they are lost while Redis is away, so a process that waits for one looks again
by itself after a while.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from math import inf
from time import monotonic
from typing import Any, Protocol
from uuid import uuid4

from redis import Redis as SyncRedis
from redis import RedisCluster as SyncRedisCluster
from redis.asyncio import Redis, RedisCluster
from structlog import get_logger

from everturn.checkpoints.cancelling import cancelled
from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.redis.connect import create_twin
from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.lua import Lua, SyncLua
from everturn.checkpoints.shared.channels import Channels
from everturn.checkpoints.shared.heartbeat import Heartbeat, Pulse

log = get_logger(__name__)

LEASE_SECONDS = 3.0
"""A process without a heartbeat for so long is dead, where nothing else is set."""
_BEATS = 3
"""Heartbeats in a lease."""

_PAUSE_SECONDS = 0.5  # before the next try where Redis is away

# KEYS processes   ARGV process, lease (ms)   Reply the processes that are alive
_HEARTBEAT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 10)
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""

# KEYS processes   ARGV lease (ms)   Reply the processes that are alive
_LIVING = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], now - ARGV[1], '+inf')
"""

Message = Mapping[str, Any]
"""Any JSON object; RedisPeers adds `from`, the name of its sender. `missed` says that some may have
been lost."""


class Peers(Protocol):
    """The processes that share runs with this one."""

    name: str
    """Of this process: no other has it, and it has no other after its next start."""
    single: bool
    """Whether there are no others."""
    lease: float
    """Seconds without a heartbeat after which a process is dead."""

    async def heartbeat(self) -> Pulse:
        """Wait for the next heartbeat: it says who is alive."""
        ...

    async def publish(self, message: Message) -> None:
        """Send a message to all other processes; it may be lost, and nothing is raised."""
        ...

    def subscribe(self, listener: Callable[[Message], None]) -> None:
        """Call `listener` with every message of the other processes."""
        ...

    def news(self, run_id: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set whenever the log of a run may have grown."""
        ...


class SinglePeer:
    """The only process of its service."""

    single = True
    lease = inf

    def __init__(self) -> None:
        self.name = uuid4().hex

    async def heartbeat(self) -> Pulse:
        """Return the name of this process."""
        return Pulse(frozenset({self.name}), monotonic())

    async def publish(self, message: Message) -> None:
        """Do nothing: there is no other process."""

    def subscribe(self, listener: Callable[[Message], None]) -> None:
        """Do nothing: no message will come."""

    def news(self, run_id: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is never set: no run is elsewhere."""
        return nullcontext(asyncio.Event())


class RedisPeers:
    """The processes at one Redis under one prefix. Use `open_peers`: it listens."""

    single = False

    def __init__(
        self,
        client: Redis | RedisCluster,
        twin: SyncRedis | SyncRedisCluster,
        prefix: str,
        lease: float,
    ) -> None:
        """Send with `client`; with `twin`, which is the heartbeat's alone, be alive."""
        self.name = uuid4().hex
        self.lease = lease
        self._client = client
        self._twin = twin
        self._heartbeat = Heartbeat(self._beat, lease / _BEATS)
        self._processes = f"{{{prefix}:processes}}"
        self._messages = f"{prefix}:messages"
        self._news = f"{prefix}:run:{{}}:news"
        self._script = SyncLua(twin, _HEARTBEAT)
        self._channels = Channels(client, self._messages)
        self._awaiting: dict[str, set[asyncio.Event]] = {}
        self._listeners: list[Callable[[Message], None]] = []

    async def heartbeat(self) -> Pulse:
        """Wait for the next heartbeat: it says who is alive."""
        return await self._heartbeat.next()

    def _beat(self) -> frozenset[str]:
        """Record that this process is alive; return the names of all that are."""
        with redis_errors():
            alive: Any = self._script([self._processes], [self.name, round(self.lease * 1000)])
        return frozenset(name.decode() for name in alive)

    async def leave(self) -> None:
        """Say that this process ends: the others need not wait for its lease to end."""
        with suppress(CheckpointsError), redis_errors():
            await self._client.zrem(self._processes, self.name)
        await self.publish({"left": self.name})

    async def publish(self, message: Message) -> None:
        """Send a message to all other processes; it may be lost, and nothing is raised."""
        try:
            with redis_errors():
                body = json.dumps({**message, "from": self.name})
                await self._client.publish(self._messages, body)
        except CheckpointsError as error:
            log.warning("peers_publish_failed", error=str(error))

    def subscribe(self, listener: Callable[[Message], None]) -> None:
        """Call `listener` with every message of the other processes."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def news(self, run_id: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever the log of a run may have grown."""
        channel, event = self._news.format(run_id), asyncio.Event()
        others = self._awaiting.setdefault(channel, set())
        others.add(event)
        try:
            await self._channels.add(channel)
            yield event
        finally:
            others.discard(event)
            if not others and self._awaiting.get(channel) is others:
                del self._awaiting[channel]
                await self._channels.remove(channel)

    async def begin(self) -> None:
        """Join the others: be alive, and be sent their messages.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        await asyncio.to_thread(self._beat)
        await self._channels.connect()
        self._heartbeat.start()

    async def listen(self) -> None:
        """Pass messages on to their listeners. Never ends."""
        while True:
            try:
                message = await self._channels.next()
            except CheckpointsError as error:
                await self._connect_again(error)
                continue
            if message is not None:
                self._pass_on(message)

    async def _connect_again(self, error: CheckpointsError | None) -> None:
        """Listen anew, and let all know that they may have missed something."""
        while error is not None:
            log.warning("peers_listen_failed", error=str(error))
            self._look_at_logs()
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self._channels.connect()
            except CheckpointsError as again:
                error = again
            else:
                error = None
        self._look_at_logs()
        self._call_listeners({"missed": True})

    def _look_at_logs(self) -> None:
        for event in [each for some in self._awaiting.values() for each in some]:
            event.set()

    def _pass_on(self, message: Mapping[str, Any]) -> None:
        channel = message["channel"].decode()
        if channel != self._messages:
            for event in self._awaiting.get(channel, ()):
                event.set()
            return
        try:
            body = json.loads(message["data"])
            if body["from"] != self.name:
                self._call_listeners(body)
        except Exception:
            log.exception("peers_message_failed")

    def _call_listeners(self, message: Message) -> None:
        for listener in self._listeners:
            listener(message)

    async def stop_beating(self) -> None:
        """Let the thread end, before this process says that it leaves."""
        await self._heartbeat.stop()
        await asyncio.to_thread(self._twin.close)

    async def close(self) -> None:
        """Give the connection back to the pool."""
        await self._channels.close()


@asynccontextmanager
async def open_peers(
    client: Redis | RedisCluster, *, prefix: str = "everturn", lease: float = LEASE_SECONDS
) -> AsyncIterator[RedisPeers]:
    """Listen to the other processes; at the end, let them know that this one leaves.

    Args:
        client: made by `create_async_client`.
        prefix: of all names in Redis.
        lease: seconds without a heartbeat after which a process is dead; the same for all.
    """
    twin = await asyncio.to_thread(create_twin, client)  # of a cluster, it connects
    peers = RedisPeers(client, twin, prefix, lease)
    await peers.begin()
    listening = asyncio.create_task(peers.listen(), name="peers")
    try:
        yield peers
    finally:
        await cancelled(listening)
        await peers.stop_beating()
        await peers.leave()
        await peers.close()


async def living_processes(client: Redis | RedisCluster, prefix: str) -> list[str]:
    """Return the names of all processes that are alive.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    with redis_errors():
        living = Lua(client, _LIVING)
        names = await living([f"{{{prefix}:processes}}"], [round(LEASE_SECONDS * 1000)])
    return [name.decode() for name in names]
