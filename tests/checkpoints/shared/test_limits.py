"""Limits in a real Redis: exact for many at once, moving, and on one clock."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.shared.limits import RedisLimits
from tests.checkpoints.shared.clients import store
from tests.checkpoints.stores import Store

__all__ = ["store"]

MINUTE, HOUR = 60, 3600


async def test_of_many_at_once_exactly_those_pass_that_may(store: Store) -> None:
    two = [RedisLimits(store.client, store.prefix) for _ in range(2)]
    calls = [two[n % 2].take("ada", [(10, MINUTE), (100, HOUR)]) for n in range(200)]
    taken = await asyncio.gather(*calls)
    assert sum(each.passes for each in taken) == 10
    assert sorted(each.left[0].times for each in taken if each.passes) == list(range(10))
    last = await two[0].take("ada", [(10, MINUTE), (100, HOUR)])
    # What was refused does not count, not even against the limit that had room.
    assert [each.times for each in last.left] == [0, 90]
    assert last.left[0].room
    assert last.left[1].room == 0


async def test_callers_and_limits_have_counts_of_their_own(store: Store) -> None:
    limits = RedisLimits(store.client, store.prefix)
    for who in ("ada", "bob", "}{ :*", "x" * 10_000):
        assert (await limits.take(who, [(1, MINUTE)])).passes
        assert not (await limits.take(who, [(1, MINUTE)])).passes
    assert (await limits.take("ada", [(2, MINUTE)])).passes
    names = [key.decode() async for key in store.client.scan_iter(match=f"*{store.prefix}:limit*")]
    assert len(names) == 5
    assert max(map(len, names)) < 120


async def test_a_call_may_count_as_several(store: Store) -> None:
    limits = RedisLimits(store.client, store.prefix)
    assert (await limits.take("ada", [(10, MINUTE)], 7)).left[0].times == 3
    refused = await limits.take("ada", [(10, MINUTE)], 4)
    assert not refused.passes
    assert refused.left[0].times == 3
    assert refused.left[0].room
    never = await limits.take("ada", [(10, MINUTE)], 11)
    assert not never.passes
    assert never.left[0].room is None
    assert (await limits.take("ada", [(10, MINUTE)], 3)).passes


@pytest.mark.parametrize("store", ["redis"], indirect=True)
async def test_the_window_moves(store: Store) -> None:
    limits = RedisLimits(store.client, store.prefix)
    await limits.take("ada", [(4, MINUTE)])
    (name,) = [key async for key in store.client.scan_iter(match=f"*{store.prefix}:limit*")]
    entries: Any = await store.client.zrange(name, 0, -1, withscores=True)
    ((_, now),) = entries
    await store.client.zadd(name, {f"{ago}": now - ago * 1e6 for ago in (10, 30, 61)})
    fourth = await limits.take("ada", [(4, MINUTE)])  # what came 61 s ago counts no longer
    assert fourth.passes
    assert fourth.left[0].times == 0
    fifth = await limits.take("ada", [(4, MINUTE)])
    assert not fifth.passes
    assert fifth.left[0].room is not None
    # One is free when the oldest leaves, in half a minute, and two when the next does.
    assert fifth.left[0].resets == fifth.left[0].room <= 30
    both = await limits.take("ada", [(4, MINUTE)], 2)
    assert both.left[0].room is not None
    assert 19 < both.left[0].room - both.left[0].resets < 21
    assert await store.client.pttl(name) <= MINUTE * 1000


@pytest.mark.clock
@pytest.mark.parametrize("store", ["redis"], indirect=True)
async def test_there_is_room_when_it_says_so(store: Store) -> None:
    limits = RedisLimits(store.client, store.prefix)
    for _ in range(2):
        await limits.take("ada", [(1, 1)])
        refused = await limits.take("ada", [(1, 1)])
        room = refused.left[0].room or 0  # a machine that slept for a second has refused nothing
        await asyncio.sleep(room)
        assert (await limits.take("ada", [(1, 1)])).passes


async def test_a_server_that_is_away() -> None:
    limits = RedisLimits(Redis.from_url("redis://127.0.0.1:1"))
    with pytest.raises(StoreUnavailable):
        await limits.take("ada", [(1, MINUTE)])
