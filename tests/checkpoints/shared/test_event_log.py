"""The event log of runs, at a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from everturn.checkpoints.shared.event_log import END, EventLog, Frame, open_event_log
from tests.checkpoints.stores import Store, redis_store


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with redis_store() as found:
        yield found


async def lives(store: Store, run_id: str) -> int:
    return int(await store.client.ttl(f"{{{store.prefix}:run:{run_id}}}:events"))


def say(events: EventLog, *numbers: int, attempt: int = 1, data: bytes = b"{}") -> None:
    for number in numbers:
        events.append("r", attempt, Frame(number, "values", data))


async def numbers(events: EventLog) -> list[tuple[int, int]]:
    return [(attempt, frame.number) for attempt, frame in await events.read("r", (0, 0))]


async def test_a_run_that_is_silent_for_long_keeps_its_log_until_some_time_after_its_end(
    store: Store,
) -> None:
    async with open_event_log(store.client, prefix=store.prefix, ttl=60) as events:
        say(events, 1)
        await events.written()
        assert await lives(store, "r") > 3600
        events.append("r", 1, Frame(2, END, b"null"))
        await events.written()
        assert 0 < await lives(store, "r") <= 60


async def test_what_was_appended_is_there_to_read_although_a_reader_left(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        say(events, 1, 2)
        leaves = asyncio.create_task(events.written())
        await asyncio.sleep(0)
        leaves.cancel()
        say(events, 3)
        await events.written()
        assert await numbers(events) == [(1, 1), (1, 2), (1, 3)]


async def test_an_attempt_that_was_overtaken_writes_no_more(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        say(events, 1)
        await events.written()
        say(events, 1, attempt=2)
        await events.written()
        say(events, 2)
        await events.written()
        assert await numbers(events) == [(1, 1), (2, 1)]
        assert (await events.last("r") or (0,))[0] == 2


async def test_the_oldest_events_go_first(store: Store) -> None:
    opened = open_event_log(store.client, prefix=store.prefix, max_bytes=1000)
    async with opened as events:
        for number in range(1, 11):
            say(events, number, data=b'"%s"' % (b"x" * 300))
            await events.written()
        assert await numbers(events) == [(1, 8), (1, 9), (1, 10)]
