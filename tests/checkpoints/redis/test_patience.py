"""An answer that came while the process was busy was given in time."""

import asyncio
import os
import socket
import time

import pytest
from redis import RedisError

from everturn.checkpoints.redis.connect import create_async_client
from everturn.checkpoints.redis.patience import Patience


async def test_what_came_while_the_loop_stood_still_is_read() -> None:
    came = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.02, came.set_result, "it")
    async with Patience(0.04):
        asyncio.get_running_loop().call_soon(time.sleep, 0.2)
        assert await came == "it"


async def test_it_has_an_end() -> None:
    with pytest.raises(TimeoutError):
        async with Patience(0.04):
            await asyncio.Event().wait()


async def test_redis_is_not_called_silent_where_the_loop_stood_still() -> None:
    client = create_async_client(f"{os.environ['TEST_REDIS_URL']}?socket_timeout=0.2")
    try:
        await client.ping()
        asking = [asyncio.ensure_future(client.ping()) for _ in range(8)]
        await asyncio.sleep(0)
        for _ in range(3):  # while they are sent, and while they wait for their answers
            asyncio.get_running_loop().call_soon(time.sleep, 0.3)
            await asyncio.sleep(0)
        assert await asyncio.gather(*asking) == [True] * 8
    finally:
        await client.aclose()


async def test_nor_while_it_is_connected_to() -> None:
    client = create_async_client(f"{os.environ['TEST_REDIS_URL']}?socket_connect_timeout=0.2")
    try:
        asking = [asyncio.ensure_future(client.ping()) for _ in range(8)]
        for _ in range(6):
            asyncio.get_running_loop().call_soon(time.sleep, 0.3)
            await asyncio.sleep(0)
        assert await asyncio.gather(*asking) == [True] * 8
    finally:
        await client.aclose()


async def test_a_server_that_does_not_accept_is_given_up() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        client = create_async_client(f"redis://127.0.0.1:{port}/0?socket_connect_timeout=0.2")
        with pytest.raises(RedisError):
            await client.ping()
        await client.aclose()
        for each in waiting:
            each.close()
