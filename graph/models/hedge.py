"""Hedging: when a model is slow to begin, the next is asked too, and the first to speak answers."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")

_AT_ONCE = 2


class Watcher(Protocol):
    """Is called as a race goes on; streams are known by their numbers."""

    def lost(self, number: int, error: BaseException | None) -> None:
        """Note that a stream is out: it failed, or (`None`) was only slower."""
        ...

    def decided(self, number: int) -> None:
        """Note whose outcome counts: the first to speak, or the last to fail."""
        ...


class Race(Generic[T]):
    """A race between streams, two at a time; the first one has a head start of `after` seconds."""

    def __init__(
        self, streams: Sequence[AsyncGenerator[T]], after: float, watcher: Watcher
    ) -> None:
        self._streams = streams
        self._after = after
        self._watcher = watcher
        self._waiting = list(range(1, len(streams)))
        self._racing: dict[asyncio.Task[list[T]], int] = {}

    async def run(self) -> AsyncGenerator[T]:
        """Yield what the first stream says; where it is silent, what the first to speak says.

        When one of the two that race fails, the next one takes its place. The losers are closed
        before the winner's words are passed on. Raises what the first stream raises before any
        other started, and what the last one raises when all have failed.
        """
        async with AsyncExitStack() as stack:
            for stream in self._streams:
                await stack.enter_async_context(aclosing(stream))
            try:
                self._start(0)
                done, _ = await asyncio.wait(self._racing, timeout=self._after)
                if done:
                    self._waiting.clear()  # no race: its failure is for the caller to deal with
                winner, opening = await self._first_to_speak()
            finally:
                for task in self._racing:
                    task.cancel()
                await asyncio.gather(*self._racing, return_exceptions=True)
            for number, stream in enumerate(self._streams):
                if number != winner:  # it may have spoken in the same moment
                    await stream.aclose()
            for piece in opening:
                yield piece
            async for piece in self._streams[winner]:
                yield piece

    def _start(self, number: int) -> None:
        self._racing[asyncio.create_task(_opening(self._streams[number]))] = number

    async def _first_to_speak(self) -> tuple[int, list[T]]:
        while True:
            if self._waiting and len(self._racing) < _AT_ONCE:
                self._start(self._waiting.pop(0))
            done, _ = await asyncio.wait(self._racing, return_when=asyncio.FIRST_COMPLETED)
            task = min(done, key=self._racing.__getitem__)
            number, error = self._racing.pop(task), task.exception()
            if error is None or not (self._racing or self._waiting):
                self._watcher.decided(number)
                for slower in self._racing.values():
                    self._watcher.lost(slower, None)
                return number, task.result()
            self._watcher.lost(number, error)


async def _opening(stream: AsyncGenerator[T]) -> list[T]:
    """Return the first piece of a stream; nothing, if it ends without one."""
    try:
        return [await anext(stream)]
    except StopAsyncIteration:
        return []
