"""Places in a real Redis: as many as there may be, until they are given back or end."""

import asyncio

import pytest
from redis.asyncio import Redis

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.shared.runs_at_once import RedisRunsAtOnce
from tests.checkpoints.shared.clients import store
from tests.checkpoints.stores import Store

__all__ = ["store"]


async def test_of_many_at_once_exactly_as_many_enter_as_may(store: Store) -> None:
    two = [RedisRunsAtOnce(store.client, store.prefix) for _ in range(2)]
    entered = await asyncio.gather(*(two[n % 2].enter("ada", f"r{n}", 5) for n in range(200)))
    assert sum(entered) == 5
    inside = [f"r{n}" for n, has in enumerate(entered) if has]
    assert await two[0].enter("ada", inside[0], 5)  # it is in there already
    assert await two[0].enter("bob", "r", 1)
    assert await two[1].leave("ada", inside[0]) == 5
    assert await two[1].leave("ada", inside[0]) == 4  # once more: there is nothing to give back
    assert await two[0].enter("ada", "new", 5)
    assert not await two[0].enter("ada", "newer", 5)


@pytest.mark.clock
@pytest.mark.parametrize("store", ["redis"], indirect=True)
async def test_places_end_unless_they_are_renewed(store: Store) -> None:
    patient = RedisRunsAtOnce(store.client, store.prefix)
    dying = RedisRunsAtOnce(store.client, store.prefix, lease=0.1)
    assert await patient.enter("ada", "lives", 2)
    assert await dying.enter("ada", "dies", 2)
    await patient.renew("ada", ["lives"])
    await asyncio.sleep(0.1)
    assert await patient.enter("ada", "next", 2)
    await patient.renew("ada", ["dies"])  # what has lost its place does not come back
    assert await patient.leave("ada", "dies") == 2


@pytest.mark.clock
@pytest.mark.parametrize("store", ["redis"], indirect=True)
async def test_what_is_renewed_outlives_its_lease(store: Store) -> None:
    short, long = (RedisRunsAtOnce(store.client, store.prefix, lease) for lease in (0.5, 60))
    assert await short.enter("ada", "run", 1)
    await long.renew("ada", ["run"])
    await asyncio.sleep(0.5)
    assert not await short.enter("ada", "other", 1)


async def test_a_server_that_is_away() -> None:
    with pytest.raises(StoreUnavailable):
        await RedisRunsAtOnce(Redis.from_url("redis://127.0.0.1:1")).enter("ada", "r", 1)
