"""Waiting for an event, however slow the machine is: no test fails because something took long.

A test waits until it sees what it wants to see. `PATIENCE` only ends a test that waits in vain.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from inspect import isawaitable
from typing import Any, TypeVar, overload

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds; with 15 others at work on two cores, the start of a process was seen to take 20."""

_SHORTEST, _LONGEST, _GROWTH = 0.005, 0.05, 1.5
"""Seconds between two looks: more and more, for a look may cost a request."""


@overload
async def eventually(look: Callable[[], Awaitable[T]]) -> T: ...
@overload
async def eventually(look: Callable[[], T]) -> T: ...
async def eventually(look: Callable[[], Any]) -> Any:
    """Look again and again until there is something true to see, and return it.

    Args:
        look: a function, synchronous or not, that can be called any number of times.

    Raises:
        AssertionError: after `PATIENCE` seconds, with what was seen last.
    """
    pauses = _pauses()
    while not (seen := await _value(look())):
        pause = next(pauses, None)
        assert pause is not None, f"not within {PATIENCE:g} s; seen last: {seen!r}"
        await asyncio.sleep(pause)
    return seen


def eventually_sync(look: Callable[[], T]) -> T:
    """As `eventually`, for a test without an event loop."""
    pauses = _pauses()
    while not (seen := look()):
        pause = next(pauses, None)
        assert pause is not None, f"not within {PATIENCE:g} s; seen last: {seen!r}"
        time.sleep(pause)
    return seen


def _pauses() -> Iterator[float]:
    """Yield how long to wait until the next look, until the patience has ended."""
    pause, end = _SHORTEST, time.monotonic() + PATIENCE
    while time.monotonic() < end:
        yield pause
        pause = min(_LONGEST, _GROWTH * pause)


async def _value(seen: Any) -> Any:
    return await seen if isawaitable(seen) else seen
