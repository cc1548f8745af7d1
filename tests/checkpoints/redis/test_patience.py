"""An answer that came while the process was busy was given in time."""

import asyncio
import os
import time

import pytest

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
