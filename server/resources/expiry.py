"""The end of threads with a ttl, and of old keys: looked for now and then, by every process."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol

from structlog import get_logger

from everturn.checkpoints.errors import ThreadBusy
from everturn.checkpoints.sql.threads import Thread
from everturn.server.resources.threads import Threads

log = get_logger(__name__)

SWEEP_SECONDS = 60
_AT_ONCE = 100


class Keys(Protocol):
    """The keys that clients sent with their requests."""

    async def sweep_keys(self) -> None:
        """Delete those that have expired."""
        ...


async def sweep(
    threads: Threads, keys: Keys, *, seconds: float = SWEEP_SECONDS, limit: int | None = None
) -> None:
    """End what has expired, now and every so many seconds. Never ends itself.

    Args:
        threads: of the service.
        keys: of the service.
        seconds: between two sweeps.
        limit: threads that one sweep looks at, at most.
    """
    while True:
        try:
            await sweep_once(threads, limit)
        except Exception as error:  # those that are due stay due
            log.warning("threads_not_swept", error=str(error))
        try:
            await keys.sweep_keys()
        except Exception as error:
            log.warning("keys_not_swept", error=str(error))
        await asyncio.sleep(seconds)


async def sweep_once(threads: Threads, limit: int | None = None) -> None:
    """End what has expired, or as much of it as `limit` allows."""
    left = float("inf") if limit is None else limit
    while left > 0:
        at_once = int(min(_AT_ONCE, left))
        if await end_expired(threads, at_once) < at_once:
            return
        left -= at_once


async def end_expired(threads: Threads, at_once: int = _AT_ONCE) -> int:
    """Look at the threads that are due, the longest overdue first; returns how many it were."""
    due = await threads.table.due(at_once)
    for thread in due:
        try:
            again = await _end(threads, thread)
        except ThreadBusy:
            again = datetime.now(UTC) + timedelta(seconds=SWEEP_SECONDS)
        await threads.table.look_again(thread.thread_id, again)
    return len(due)


async def _end(threads: Threads, thread: Thread) -> datetime | None:
    """End a thread, unless it was used since; returns when to look again, if it is still there."""
    now = datetime.now(UTC)
    async with threads.idle(thread.thread_id) as current:
        if current is None or current.ttl is None:
            return None
        end = current.ends_at
        if end is not None and end > now:
            return end
        if current.ttl["strategy"] == "keep_latest":
            await threads.keep_latest([current.thread_id])
            return now + timedelta(minutes=current.ttl["ttl"])
        if current.kind == "thread":
            await threads.forget(current.thread_id)
            await threads.forget_history(current.thread_id)
        else:
            await threads.end_session(current.thread_id)
            return end  # its row, where it stays, goes on saying when it ended
        return None
