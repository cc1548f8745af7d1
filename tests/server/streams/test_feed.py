"""Feeds: what one listener is handed, and what is kept for it, is bounded in bytes."""

import asyncio
from contextlib import aclosing

from everturn.checkpoints.shared.event_log import END, Frame
from everturn.server.streams.feed import BEGINNING, GAP, Event, Feed, follow_log

LARGE = b'"%s"' % (b"x" * 10_000)


class Remembered:
    """A log in memory, read page by page."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, Frame]] = []

    def append(self, run_id: str, attempt: int, frame: Frame) -> None:
        self.frames.append((attempt, frame))

    async def read(self, run_id: str, after: tuple[int, int]) -> list[tuple[int, Frame]]:
        return [each for each in self.frames if (each[0], each[1].number) > after][:7]

    async def last(self, run_id: str) -> tuple[int, Frame] | None:
        return self.frames[-1] if self.frames else None

    async def written(self) -> None: ...


def spoken(log: Remembered, count: int) -> Feed:
    feed = Feed("r", log)
    for _ in range(count):
        feed.publish("values", LARGE)
    feed.close()
    return feed


async def read(feed: Feed) -> list[list[Event]]:
    async with aclosing(feed.follow(BEGINNING)) as events:
        return [some async for some in events]


async def test_a_listener_is_handed_what_one_write_should_hold() -> None:
    handed = await read(spoken(Remembered(), 20))
    assert [event.cursor.number for some in handed for event in some] == list(range(1, 21))
    assert all(sum(len(event.data) for event in some) < 100_000 for some in handed)


async def test_a_listener_who_is_far_behind_misses_nothing() -> None:
    handed = await read(spoken(Remembered(), 1000))
    assert [event.cursor.number for some in handed for event in some] == list(range(1, 1001))
    assert all(sum(len(event.data) for event in some) < 100_000 for some in handed)


async def test_a_listener_who_catches_up_lets_others_do_something() -> None:
    """As one whose client has left: nothing that it writes is waited for."""
    feed = Feed("r", Remembered())
    for _ in range(20):
        feed.publish("values", LARGE)
    seen: list[Event] = []

    async def look() -> None:
        async with aclosing(feed.follow(BEGINNING)) as events:
            async for some in events:
                seen.extend(some)

    reading = asyncio.create_task(look())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    assert 0 < len(seen) < 20


async def test_many_small_events_weigh_something() -> None:
    log = Remembered()
    feed = Feed("r", log)
    for _ in range(5000):
        feed.publish("messages", b"[]")
    log.frames.clear()
    feed.close()
    handed = [event for some in await read(feed) for event in some]
    assert handed[0].name == GAP
    assert len(handed) < 2000


async def test_a_hole_in_a_log_is_told() -> None:
    log = Remembered()
    spoken(log, 5)
    del log.frames[2]

    async def over() -> bool:
        return True

    following = follow_log(log, "r", BEGINNING, asyncio.Event(), over)
    async with aclosing(following):
        names = [event.name async for some in following for event in some]
    assert names == ["values", "values", GAP, "values", "values"]
    assert log.frames[-1][1].name == END
