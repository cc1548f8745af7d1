"""A race of two streams: who is heard, and when the other is closed."""

import asyncio
from collections.abc import AsyncGenerator

from graph.models.hedge import hedged


async def test_who_speaks_in_the_same_moment_but_second_is_closed_unheard() -> None:
    speak, closed = asyncio.Event(), set[str]()

    async def racer(name: str) -> AsyncGenerator[str]:
        try:
            await speak.wait()
            yield f"{name} 1"
            yield f"{name} 2"
        finally:
            closed.add(name)

    lost: list[int] = []
    race = hedged(racer("a"), racer("b"), 0.01, lambda number, _: lost.append(number))
    asyncio.get_running_loop().call_later(0.05, speak.set)
    heard = [await anext(race)]
    assert closed == {"b"}
    heard += [piece async for piece in race]
    assert (heard, lost) == (["a 1", "a 2"], [1])
