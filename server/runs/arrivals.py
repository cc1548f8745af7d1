"""The order in which the runs of a thread start: the one in which they were asked for.

What a run needs before it starts takes one longer than another: its assistant is read, its thread,
the address of its webhook is looked up. So a run takes its place on the thread before any of that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

Reached = Callable[[], Awaitable[object]]
"""Waits until all runs that came before have started, or were refused."""


class Arrivals:
    """Knows the runs that are about to start, thread by thread."""

    def __init__(self) -> None:
        self._threads: dict[str, dict[asyncio.Event, None]] = {}

    @contextmanager
    def place(self, thread_id: str | None) -> Iterator[Reached]:
        """Take a place at once, and leave it at the end of the block.

        A run without a thread waits for no other.
        """
        first = asyncio.Event()
        places = self._threads.setdefault(thread_id, {}) if thread_id else {}
        places[first] = None
        if len(places) == 1:
            first.set()
        try:
            yield first.wait
        finally:
            del places[first]
            if places:
                next(iter(places)).set()
            elif thread_id:
                del self._threads[thread_id]
