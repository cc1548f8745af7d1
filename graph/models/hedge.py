"""Hedging: when a model is slow to begin, another is asked too, and the first to speak wins."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")

Lost = Callable[[int, BaseException | None], None]
"""Told which racer lost, 0 or 1, and of what; `None`: it was only slower."""


async def hedged(
    first: AsyncGenerator[T], second: AsyncGenerator[T], after: float, lost: Lost
) -> AsyncGenerator[T]:
    """Yield what `first` says; if it is silent for `after` seconds, what the first to speak says.

    The loser is closed before it is heard. A failure of one leaves the other in the race; the
    failure of `first` before the race, and that of the last one in it, are raised.
    """
    async with aclosing(first), aclosing(second):
        racers = {asyncio.create_task(_opening(first)): 0}
        try:
            await asyncio.wait(racers, timeout=after)
            if not any(task.done() for task in racers):
                racers[asyncio.create_task(_opening(second))] = 1
            winner, opening = await _first_to_speak(racers, lost)
        finally:
            for task in racers:
                task.cancel()
            await asyncio.gather(*racers, return_exceptions=True)
        await (second, first)[winner].aclose()  # it may have spoken in the same moment
        for piece in opening:
            yield piece
        async for piece in (first, second)[winner]:
            yield piece


async def _opening(stream: AsyncGenerator[T]) -> list[T]:
    """Return the first piece of a stream; nothing, if it ends without one."""
    try:
        return [await anext(stream)]
    except StopAsyncIteration:
        return []


async def _first_to_speak(
    racers: dict[asyncio.Task[list[T]], int], lost: Lost
) -> tuple[int, list[T]]:
    running = dict(racers)
    while True:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in sorted(done, key=racers.__getitem__):
            racer = running.pop(task)
            error = task.exception()
            if error is None:
                for slower in running.values():
                    lost(slower, None)
                return racer, task.result()
            if not running:
                raise error
            lost(racer, error)
