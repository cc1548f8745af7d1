"""Ending a task for certain."""

import asyncio
from typing import Any

_AGAIN_SECONDS = 0.5


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended, whatever with.

    More than once, if need be: before Python 3.12 `asyncio.wait_for` loses a cancellation that
    comes at the moment of its result, and redis-py sends each command by it.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_SECONDS)
