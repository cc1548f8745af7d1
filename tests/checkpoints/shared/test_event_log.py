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


async def test_it_is_read_page_by_page(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        for number in range(1, 101):
            say(events, number, data=b'"%s"' % (b"x" * 50_000))
        await events.written()
        page = await events.read("r", (0, 0))
        assert sum(len(frame.data) for _, frame in page) < 500_000
        assert [frame.number async for frame in events.read_all("r")] == list(range(1, 101))


async def test_what_waits_to_be_written_has_an_end(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        for number in range(1, 1001):
            say(events, number, data=b'"%s"' % (b"x" * 50_000))
        events.append("r", 1, Frame(1001, END, b"null"))
        await events.written()
        found = [frame.number async for frame in events.read_all("r")]
    assert found[-1] == 1001
    assert found == list(range(found[0], 1002))
    assert len(found) * 50_000 < 10_000_000


async def test_all_logs_together_have_an_end(store: Store) -> None:
    opened = open_event_log(store.client, prefix=store.prefix, max_bytes_of_all=1_000_000)
    async with opened as events:
        for run in range(10):
            for number in range(1, 11):
                events.append(f"{run}", 1, Frame(number, "values", b'"%s"' % (b"x" * 50_000)))
            events.append(f"{run}", 1, Frame(11, END, b"null"))
            await events.written()
        kept = [[frame.number async for frame in events.read_all(f"{run}")] for run in range(10)]
    assert sum(map(len, kept)) * 50_000 < 1_500_000
    assert kept[-1] == list(range(1, 12))
    assert all(numbers[-1] == 11 for numbers in kept)  # how a run ended is known of each


async def test_a_run_that_goes_on_keeps_its_share(store: Store) -> None:
    opened = open_event_log(store.client, prefix=store.prefix, max_bytes_of_all=1_000_000)
    async with opened as events:
        for number in range(1, 41):
            for run in range(4):
                events.append(f"{run}", 1, Frame(number, "values", b'"%s"' % (b"x" * 50_000)))
            await events.written()
        for run in range(4):
            found = [frame.number async for frame in events.read_all(f"{run}")]
            assert found[-1] == 40
            assert 3 <= len(found) <= 6
