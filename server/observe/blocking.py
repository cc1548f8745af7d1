"""Name the code that blocks the event loop, while it does.

A thread asks the loop to run a callback, ten times a second. If the callback does not run in time,
what the loop's thread is doing at that moment is what blocks it. Nothing is patched and no call is
slowed down.
"""

import asyncio
import selectors
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from structlog import get_logger

log = get_logger(__name__)

_PAUSE_SECONDS = 0.1
_SAME_PLACE_SECONDS = 60.0
_MAX_PLACES = 1000
_LOOP_FILES = (str(Path(asyncio.__file__).parent), selectors.__file__)


@asynccontextmanager
async def watch_for_blocking(patience: float) -> AsyncIterator[None]:
    """Warn in the log of code that keeps the loop for longer than `patience` seconds; 0 is off.

    Blocks shorter than `patience` plus a tenth of a second may be missed. Each place is named once
    a minute at most.
    """
    if patience <= 0:
        yield
        return
    watch = _Watch(asyncio.get_running_loop(), patience)
    watch.start()
    try:
        yield
    finally:
        watch.stop()
        await asyncio.to_thread(watch.join)


class _Watch(threading.Thread):
    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        super().__init__(name="everturn blocking watch", daemon=True)
        self._loop = loop
        self._patience = patience
        self._loop_thread = threading.get_ident()
        self._alive = threading.Event()
        self._stopped = threading.Event()
        self._reported: dict[str, float] = {}

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        while not self._stopped.wait(_PAUSE_SECONDS):
            self._alive.clear()
            started = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._alive.set)
            except RuntimeError:  # the loop is closed
                return
            if self._alive.wait(self._patience):
                continue
            stack = self._stack()
            while not self._alive.wait(_PAUSE_SECONDS):
                if self._stopped.is_set():
                    return
            if stack:
                self._report(stack, time.monotonic() - started)

    def _stack(self) -> list[traceback.FrameSummary]:
        """What the loop's thread runs, from the loop's callback on; empty where it only waits."""
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - documented for debuggers
        frames = traceback.extract_stack(frame)
        inside = [
            number for number, each in enumerate(frames) if each.filename.startswith(_LOOP_FILES)
        ]
        return frames[inside[-1] + 1 :] if inside else []

    def _report(self, stack: list[traceback.FrameSummary], seconds: float) -> None:
        own = [each for each in stack if not _installed(each.filename)]
        place = (own or stack)[-1]
        where = f"{place.filename}:{place.lineno} in {place.name}"
        now = time.monotonic()
        if now - self._reported.get(where, -_SAME_PLACE_SECONDS) < _SAME_PLACE_SECONDS:
            return
        if len(self._reported) >= _MAX_PLACES:
            self._reported.clear()
        self._reported[where] = now
        log.warning(
            "event_loop_blocked",
            where=where,
            seconds=round(seconds, 2),
            doing=stack[-1].line,
            # Not `stack`: a name that structlog's renderers treat as text of their own.
            frames=[f"{each.filename}:{each.lineno} in {each.name}" for each in stack[-12:]],
            advice="all other requests wait: await it, use asyncio.to_thread, or a sync node",
        )


def _installed(file: str) -> bool:
    """Whether a file is of the standard library or an installed package, not of a project."""
    return "site-packages" in file or file.startswith((sys.base_prefix, "<"))
