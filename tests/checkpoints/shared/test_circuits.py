"""Circuits in a real Redis: seen by all, on one clock, tried by one."""

import asyncio

import pytest
from redis.asyncio import Redis

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.shared.circuits import RedisCircuits
from tests.checkpoints.shared.clients import store
from tests.checkpoints.stores import Store

__all__ = ["store"]


def circuits_of(store: Store, account: str = "account") -> RedisCircuits:
    return RedisCircuits(store.client, account, store.prefix)


async def test_what_one_opens_the_others_see_until_somebody_closes_it(store: Store) -> None:
    one, other = (
        circuits_of(store),
        circuits_of(store),
    )
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


async def test_accounts_do_not_mix(store: Store) -> None:
    await circuits_of(store, "mine").open("m", 30.0, sure=True)
    assert await circuits_of(store, "yours").read() == {}


async def test_when_its_time_is_over_a_sure_one_closes_and_another_waits_for_a_try(
    store: Store,
) -> None:
    circuits = circuits_of(store)
    await circuits.open("sure", 0.0, sure=True)
    await circuits.open("doubtful", 0.0, sure=False)
    assert await circuits.read() == {"doubtful": (0.0, False)}


async def test_one_of_many_may_try(store: Store) -> None:
    circuits = [circuits_of(store) for _ in range(10)]
    won = await asyncio.gather(*(each.claim("m", 30.0) for each in circuits))
    assert sum(won) == 1
    await circuits[0].open("m", 0.0, sure=False)  # it failed again: somebody may try later
    assert await circuits[1].claim("m", 30.0)


async def test_everything_expires(store: Store) -> None:
    circuits = circuits_of(store)
    await circuits.open("m", 30.0, sure=False)
    await circuits.claim("m", 30.0)
    lives = [
        await store.client.pttl(key) async for key in store.client.scan_iter(f"{{{store.prefix}:*")
    ]
    assert len(lives) == 2
    assert all(0 < life <= 3_630_000 for life in lives)


async def test_a_redis_that_is_down_is_a_store_that_is_unavailable() -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as nobody:
        with pytest.raises(StoreUnavailable):
            await RedisCircuits(nobody, "account").read()
