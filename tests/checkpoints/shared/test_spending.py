"""Spending in a real Redis: set aside in all accounts or in none, exact however many come."""

import asyncio
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from everturn.checkpoints.away import Waiting, waits
from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.shared.spending import Account, Amount, Spending
from tests.checkpoints.redis.servers import redis_binary
from tests.checkpoints.redis.servers import serving as serving_redis
from tests.checkpoints.shared.clients import store
from tests.checkpoints.stores import Store
from tests.waiting import PATIENCE

__all__ = ["store"]


def account(
    name: str = "run:1", tokens: int | None = None, dollars: float | None = None
) -> Account:
    return Account(name, tokens, dollars, 60)


async def test_what_was_set_aside_is_replaced_by_what_was_spent(store: Store) -> None:
    spending, accounts = Spending(*store), [account(tokens=1000), account("day:1")]
    held = Amount(400, 0.5)
    assert await spending.reserve(accounts, held) is None
    for each in accounts:
        assert await spending.read(each.name) == (held, held)
    await spending.settle(accounts, held, Amount(120, 0.000_000_001))
    for each in accounts:
        assert await spending.read(each.name) == (Amount(120, 0.000_000_001), Amount())


@pytest.mark.parametrize(
    ("limits", "of"), [({"tokens": 100}, "tokens"), ({"dollars": 0.25}, "dollars")]
)
async def test_a_full_account_takes_nothing_and_neither_do_the_others(
    store: Store, limits: dict[str, float], of: str
) -> None:
    spending = Spending(*store)
    small, large = account("run:1", **limits), account("day:1", 10**6, 1e6)  # type: ignore[arg-type]
    most = Amount(100, 0.25)
    assert await spending.reserve([large, small], most) is None
    full = await spending.reserve([large, small], most)
    assert full is not None
    assert (full.account, full.of, full.counted) == (small, of, (most, most))
    assert (await spending.read("day:1")).spent == most


async def test_to_look_sets_nothing_aside(store: Store) -> None:
    spending = Spending(*store)
    assert await spending.reserve([account(tokens=1)], Amount()) is None
    assert [key async for key in store.client.scan_iter(f"*{store.prefix}*")] == []


async def test_of_many_at_once_only_one_goes_beyond_the_limit(store: Store) -> None:
    instances = [Spending(*store), Spending(*store)]
    accounts, each = [account(tokens=1000)], Amount(90)

    async def call(number: int) -> bool:
        spending = instances[number % 2]
        if await spending.reserve(accounts, each) is not None:
            return False
        await asyncio.sleep(0)
        await spending.settle(accounts, each, Amount(80))
        return True

    made = sum(await asyncio.gather(*map(call, range(100))))
    spent, held = await instances[0].read("run:1")
    assert spent.tokens == 80 * made
    assert 1000 - 90 < spent.tokens < 1000 + 90
    assert held == Amount()


async def test_everything_expires_after_its_last_use(store: Store) -> None:
    spending = Spending(*store)
    await spending.reserve(
        [Account("run:1", 10, None, 60), Account("day:1", 10, None, 90)], Amount(5)
    )
    keys = [f"{{{store.prefix}:spending}}:{name}" for name in ("run:1", "day:1")]
    lives = [await store.client.ttl(key) for key in keys]
    assert 50 < lives[0] <= 60
    assert 80 < lives[1] <= 90


async def test_an_account_that_is_lost_meanwhile_begins_anew(store: Store) -> None:
    spending, accounts = Spending(*store), [account()]
    await spending.reserve(accounts, Amount(100, 1.0))
    await store.client.delete(f"{{{store.prefix}:spending}}:run:1")
    await spending.settle(accounts, Amount(100, 1.0), Amount(10, 0.1))
    assert await spending.read("run:1") == (Amount(), Amount())


async def test_what_nobody_set_aside_is_counted_too(store: Store) -> None:
    spending = Spending(*store)
    await spending.settle([account()], Amount(), Amount(10, 0.1))
    assert await spending.read("run:1") == (Amount(10, 0.1), Amount())
    assert await store.client.ttl(f"{{{store.prefix}:spending}}:run:1") > 0


async def test_what_a_provider_says_beyond_all_measure_is_counted_as_very_much(
    store: Store,
) -> None:
    spending, accounts = Spending(*store), [account()]
    for _ in range(3):
        await spending.reserve(accounts, Amount(1, 0.0))
        await spending.settle(accounts, Amount(1, 0.0), Amount(2**53, 1e9))
    assert await spending.read("run:1") == (Amount(3 * 10**12, 3e6), Amount())


async def test_a_redis_that_is_down_is_a_store_that_is_unavailable() -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as nobody:
        spending = Spending(nobody, uuid4().hex)
        with pytest.raises(StoreUnavailable):
            await spending.reserve([account(tokens=1)], Amount(1))
        with pytest.raises(StoreUnavailable):
            await spending.read("run:1")


@pytest.mark.skipif(redis_binary() is None, reason="needs a redis-server")
async def test_what_a_run_has_spent_is_counted_though_redis_is_away_meanwhile() -> None:
    away = asyncio.Event()
    with serving_redis(
        redis_binary() or "", "--appendonly", "yes", "--appendfsync", "always"
    ) as on:
        async with Redis.from_url(on.url) as client:
            spending, accounts, held = Spending(client), [account()], Amount(100, 1.0)
            with waits(Waiting(PATIENCE, begins=away.set)):
                await spending.reserve(accounts, held)
                on.kill()
                settled = asyncio.create_task(spending.settle(accounts, held, Amount(10, 0.1)))
                await away.wait()
                on.start()
                await settled
            assert await spending.read("run:1") == (Amount(10, 0.1), Amount())
