"""The heartbeat of a process: it says that it lives, from a thread of its own.

A node that blocks the event loop for seconds would else have the process taken for dead, and its
runs executed twice. A loop that does nothing at all for `STUCK_SECONDS` will not come back: then
the thread ceases, too, and others take over.
"""

import asyncio
import threading
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError

log = get_logger(__name__)

STUCK_SECONDS = 60.0
"""Longer than an event loop is blocked by what will end."""


class Pulse(NamedTuple):
    """What one heartbeat found out."""

    alive: frozenset[str]
    """The names of all processes that are alive."""
    at: float
    """When, by the monotonic clock."""


class Heartbeat:
    """Beats until it is stopped."""

    def __init__(self, beat: Callable[[], frozenset[str]], every: float) -> None:
        """Call `beat` every so many seconds, in a thread; it returns which processes are alive."""
        self._beat = beat
        self._every = every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._loop = asyncio.get_running_loop()
        self._looped = monotonic()
        self._came = asyncio.Event()
        self._pulse = Pulse(frozenset(), 0.0)

    async def next(self) -> Pulse:
        """Wait for the next heartbeat that reaches the others."""
        self._came.clear()
        await self._came.wait()
        return self._pulse

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    async def stop(self) -> None:
        """Beat no more, and wait for the last one."""
        self._stopped.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            if monotonic() - self._looped > STUCK_SECONDS:
                continue
            pulse = None
            try:
                pulse = Pulse(self._beat(), monotonic())
            except CheckpointsError as error:
                log.warning("peers_not_known", error=str(error))
            except Exception:  # who ceases to beat is taken for dead
                log.exception("heartbeat_failed")
            if not self._stopped.is_set():
                self._loop.call_soon_threadsafe(self._received, pulse)

    def _received(self, pulse: Pulse | None) -> None:
        self._looped = monotonic()
        if pulse is not None:
            self._pulse = pulse
            self._came.set()
