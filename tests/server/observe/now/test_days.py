"""What was taken on a day: added to what all have taken, each amount once."""

import asyncio

import pytest

from everturn.checkpoints.errors import StoreUnavailable
from everturn.server.observe.now.counts import no_counts
from everturn.server.observe.now.days import Days

NOON = 1_800_014_400.0
DAY, NEXT_DAY = "2027-01-15", "2027-01-16"


class Redis:
    """Adds up, and answers when it is let."""

    def __init__(self) -> None:
        self.days: dict[str, tuple[int, int]] = {}
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.away = False

    async def count(self, day: str, tokens: int, cost: int) -> tuple[int, int]:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("Redis")
        had = self.days.get(day, (0, 0))
        self.days[day] = had[0] + tokens, had[1] + cost
        await self.answers.wait()
        return self.days[day]


async def test_two_who_save_at_once_add_it_once() -> None:
    redis, taken = Redis(), no_counts()
    days = Days(taken, redis)
    taken[DAY].update(tokens=10, cost=3)
    redis.answers.clear()
    saves = [asyncio.create_task(days.save(NOON, asks=asks)) for asks in (False, True, True)]
    await asyncio.sleep(0)
    redis.answers.set()
    await asyncio.gather(*saves)
    assert redis.days == {DAY: (10, 3)}
    assert days.today == (10, 3)


async def test_what_was_sent_is_not_sent_again_though_nobody_waits_for_the_answer() -> None:
    redis, taken = Redis(), no_counts()
    days = Days(taken, redis)
    taken[DAY].update(tokens=10)
    redis.answers.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await days.save(NOON)
    redis.answers.set()
    taken[DAY].update(tokens=1)
    await days.save(NOON)
    assert redis.days == {DAY: (11, 0)}


async def test_what_could_not_be_sent_is_sent_later() -> None:
    redis, taken = Redis(), no_counts()
    days = Days(taken, redis)
    taken[DAY].update(tokens=10)
    redis.away = True
    with pytest.raises(StoreUnavailable):
        await days.save(NOON)
    redis.away = False
    await days.save(NOON)
    assert redis.days == {DAY: (10, 0)}


async def test_a_day_that_is_over_is_added_and_forgotten() -> None:
    redis, taken = Redis(), no_counts()
    days = Days(taken, redis)
    taken[DAY].update(tokens=10)
    await days.save(NOON)
    taken[DAY].update(tokens=5)
    taken[NEXT_DAY].update(tokens=2)
    await days.save(NOON + 86_400)
    assert redis.days == {DAY: (15, 0), NEXT_DAY: (2, 0)}
    assert list(taken) == [NEXT_DAY]
    assert days.today == (2, 0)


async def test_nothing_is_asked_where_nothing_was_taken() -> None:
    redis = Redis()
    days = Days(no_counts(), redis)
    await days.save(NOON)
    assert redis.asked == 0
    await days.save(NOON, asks=True)
    assert redis.asked == 1
