"""Memory given back to the system after a burst, which would else stay with the process.

What was freed lies between what is in use: Python finds the cycles in it late, and glibc returns
only what lies at the end. So once it has stopped growing, both are asked.
"""

import asyncio
import ctypes
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from structlog import get_logger

log = get_logger(__name__)

_LOOK_SECONDS = 5.0
_BURST_BYTES = 67_108_864
_STATM = Path("/proc/self/statm")


@asynccontextmanager
async def give_memory_back() -> AsyncIterator[None]:
    """Look after bursts; does nothing where the system is not Linux with glibc."""
    trim = _find_trim()
    if trim is None:
        yield
        return
    looking = asyncio.create_task(_look(trim), name="memory")
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait({looking})


def _find_trim() -> Callable[[int], int] | None:
    if not _STATM.exists():
        return None
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


async def _look(trim: Callable[[int], int]) -> None:
    least = last = resident_bytes()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = resident_bytes()
        least = min(least, now)
        if now - least > _BURST_BYTES and now <= last:
            gc.collect()
            await asyncio.to_thread(trim, 0)  # without the interpreter's lock
            least = resident_bytes()
            log.info("memory_given_back", megabytes=(now - least) // 1_000_000)
            now = least
        last = now


def resident_bytes() -> int:
    """Return how much memory of the machine this process has."""
    return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
