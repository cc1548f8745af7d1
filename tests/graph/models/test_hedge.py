"""A race of streams: who is heard, who takes the place of one that fails, who is closed when."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from everturn.graph.models.hedge import Race


class Streams:
    """Streams that speak or fail when they are told to."""

    def __init__(self) -> None:
        self.may_speak: dict[str, asyncio.Event] = {}
        self.started: list[str] = []
        self.next_start = asyncio.Event()
        self.closed: set[str] = set()
        self.out: list[tuple[int, str]] = []
        self.winner: int | None = None

    def lost(self, number: int, error: BaseException | None) -> None:
        self.out.append((number, str(error)))

    def decided(self, number: int) -> None:
        self.winner = number

    async def speaking(self, name: str) -> AsyncGenerator[str]:
        self._note_start(name)
        try:
            await self.may_speak.setdefault(name, asyncio.Event()).wait()
            yield f"{name} 1"
            yield f"{name} 2"
        finally:
            self.closed.add(name)

    async def failing(self, name: str) -> AsyncGenerator[str]:
        self._note_start(name)
        await asyncio.sleep(0)
        raise ValueError(name)
        yield ""

    def _note_start(self, name: str) -> None:
        self.started.append(name)
        self.next_start.set()

    async def until_started(self, name: str) -> None:
        while name not in self.started:
            await self.next_start.wait()
            self.next_start.clear()


async def test_who_speaks_in_the_same_moment_but_second_is_closed_unheard() -> None:
    streams = Streams()
    race = Race([streams.speaking("a"), streams.speaking("b")], 0.01, streams).run()
    first = asyncio.ensure_future(anext(race))
    await streams.until_started("b")
    for event in streams.may_speak.values():
        event.set()
    heard = [await first]
    assert streams.closed == {"b"}
    heard += [piece async for piece in race]
    assert (heard, streams.out, streams.winner) == (["a 1", "a 2"], [(1, "None")], 0)


async def test_the_next_takes_the_place_of_a_rival_that_fails() -> None:
    streams = Streams()
    racers = [streams.speaking("a"), streams.failing("b"), streams.failing("c")]
    race = Race([*racers, streams.speaking("d"), streams.speaking("e")], 0.01, streams).run()
    first = asyncio.ensure_future(anext(race))
    await streams.until_started("d")
    streams.may_speak["d"].set()
    assert await first == "d 1"
    assert streams.winner == 3
    assert streams.out == [(1, "b"), (2, "c"), (0, "None")]
    assert streams.started == ["a", "b", "c", "d"]  # two at a time: no one asked the fifth
    await race.aclose()


async def test_a_failure_before_the_race_is_the_callers_to_deal_with() -> None:
    streams = Streams()
    race = Race([streams.failing("a"), streams.speaking("b")], 60.0, streams).run()
    with pytest.raises(ValueError, match="a"):
        await anext(race)
    assert (streams.started, streams.out, streams.winner) == (["a"], [], 0)


async def test_when_all_fail_the_last_failure_is_raised() -> None:
    streams = Streams()

    async def late(name: str) -> AsyncGenerator[str]:
        await streams.until_started("c")
        raise ValueError(name)
        yield ""

    race = Race([late("a"), streams.failing("b"), streams.failing("c")], 0.01, streams).run()
    with pytest.raises(ValueError, match=r"[abc]"):
        await anext(race)
    assert {number for number, _ in streams.out} | {streams.winner} == {0, 1, 2}
