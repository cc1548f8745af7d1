"""Circuits in a real Redis: seen by all, on one clock, tried by one."""

import asyncio
import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.shared.circuits import RedisCircuits


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    async with Redis.from_url(os.environ["TEST_REDIS_URL"]) as client:
        yield client


@pytest.fixture
async def prefix(redis: Redis) -> AsyncIterator[str]:
    name = f"test-{uuid4().hex}"
    yield name
    async for key in redis.scan_iter(f"{{{name}:*"):
        await redis.delete(key)


async def test_what_one_opens_the_others_see_until_somebody_closes_it(
    redis: Redis, prefix: str
) -> None:
    one, other = RedisCircuits(redis, "account", prefix), RedisCircuits(redis, "account", prefix)
    await one.open("a/model:free", 30.0, sure=False)
    await one.open("key", 60.0, sure=True)
    found = await other.read()
    assert {subject: sure for subject, (_, sure) in found.items()} == {
        "a/model:free": False,
        "key": True,
    }
    assert 25 < found["a/model:free"][0] <= 30
    assert 55 < found["key"][0] <= 60
    await other.close("a/model:free")
    assert set(await one.read()) == {"key"}


async def test_accounts_do_not_mix(redis: Redis, prefix: str) -> None:
    await RedisCircuits(redis, "mine", prefix).open("m", 30.0, sure=True)
    assert await RedisCircuits(redis, "yours", prefix).read() == {}


async def test_when_its_time_is_over_a_sure_one_closes_and_another_waits_for_a_try(
    redis: Redis, prefix: str
) -> None:
    circuits = RedisCircuits(redis, "account", prefix)
    await circuits.open("sure", 0.0, sure=True)
    await circuits.open("doubtful", 0.0, sure=False)
    assert await circuits.read() == {"doubtful": (0.0, False)}


async def test_one_of_many_may_try(redis: Redis, prefix: str) -> None:
    circuits = [RedisCircuits(redis, "account", prefix) for _ in range(10)]
    won = await asyncio.gather(*(each.claim("m", 30.0) for each in circuits))
    assert sum(won) == 1
    await circuits[0].open("m", 0.0, sure=False)  # it failed again: somebody may try later
    assert await circuits[1].claim("m", 30.0)


async def test_everything_expires(redis: Redis, prefix: str) -> None:
    circuits = RedisCircuits(redis, "account", prefix)
    await circuits.open("m", 30.0, sure=False)
    await circuits.claim("m", 30.0)
    lives = [await redis.pttl(key) async for key in redis.scan_iter(f"{{{prefix}:*")]
    assert len(lives) == 2
    assert all(0 < life <= 3_630_000 for life in lives)


async def test_a_redis_that_is_down_is_a_store_that_is_unavailable() -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as nobody:
        with pytest.raises(StoreUnavailable):
            await RedisCircuits(nobody, "account").read()
