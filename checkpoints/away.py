"""What a run does while a store is away: it waits, and asks again. Who only reads fails at once.

Within `with waits(…)` every call of a saver or of the long-term store, and every one of a task that
was begun there, is made again until it is answered.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from everturn.checkpoints.errors import StoreUnavailable

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

_waiting: ContextVar["Waiting | None"] = ContextVar("waiting", default=None)


class Waiting:
    """The patience of one run with the stores."""

    def __init__(
        self,
        seconds: float,
        begins: Callable[[], None] = lambda: None,
        passes: Callable[[float], None] = lambda _: None,
        ends: Callable[[], None] = lambda: None,
        *,
        begun: bool = True,
    ) -> None:
        """Wait at most so many seconds at a time.

        Args:
            seconds: after which the error is raised all the same.
            begun: whether the run may have left something there; else it does not wait before its
                first call has been answered.
            begins: called when a store is found to be away,
            passes: then again and again, with the seconds that are waited next,
            ends: and when it is back, or the run no longer waits.
        """
        self._seconds = seconds
        self._begins, self._passes, self._ends = begins, passes, ends
        self.begun = begun
        self._calls = 0
        """That wait now: tasks side by side may each make one."""

    async def until_back(self, call: Callable[[], Awaitable[T]], error: StoreUnavailable) -> T:
        """Make a call again that failed with an error, until it does not.

        Raises:
            StoreUnavailable: it was away for too long.
        """
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._seconds, _FIRST_PAUSE
        if not self._calls:
            self._begins()
        self._calls += 1
        try:
            while True:
                if loop.time() >= until:
                    raise error
                began = loop.time()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                try:
                    return await call()
                except StoreUnavailable as again:
                    error = again
                finally:
                    self._passes(loop.time() - began)
        finally:
            self._calls -= 1
            if not self._calls:
                self._ends()


@contextmanager
def waits(waiting: Waiting) -> Iterator[None]:
    """Let what is called in this block wait for the stores."""
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call of the current run; it waits where the run does.

    Raises:
        StoreUnavailable: the store is away, and whoever calls does not wait for it.
    """
    waiting = _waiting.get()
    try:
        reply = await call()
    except StoreUnavailable as error:
        if waiting is None or not waiting.begun:
            raise
        return await waiting.until_back(call, error)
    if waiting is not None:
        waiting.begun = True
    return reply
