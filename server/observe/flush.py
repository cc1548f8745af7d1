"""Sending what is left when the service ends, to somebody who may not answer."""

import asyncio
from collections.abc import Callable
from threading import Thread

SECONDS = 3.0
"""In which the last of what is observed is sent; then it is given up."""


async def flushed(flush: Callable[[], object], seconds: float = SECONDS) -> bool:
    """Call what blocks until all is sent; False where that takes longer: it is left behind.

    Its thread is a daemon, as one of asyncio's own would keep the process from ending.
    """
    done, loop = asyncio.Event(), asyncio.get_running_loop()

    def work() -> None:
        flush()
        loop.call_soon_threadsafe(done.set)

    Thread(target=work, name="flush", daemon=True).start()
    try:
        await asyncio.wait_for(done.wait(), seconds)
    except TimeoutError:
        return False
    return True
