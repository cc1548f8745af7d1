"""Memory that is gone: Redis has come back without what it held.

Rows and history say of a thread that it had turns, and nothing of it is there. It must not begin
anew as if nothing had been said.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial

from structlog import get_logger

from everturn.checkpoints.away import patiently
from everturn.server.errors import MemoryLost

log = get_logger(__name__)

fresh: ContextVar[bool] = ContextVar("fresh", default=False)
"""Whether nothing can be there of the thread of the current run: nothing need be asked then."""


class LostMemory:
    """Tells a thread that has lost its memory from one that never had any."""

    def __init__(self, had_turns: Callable[[str], Awaitable[bool]]) -> None:
        """Wire it up; `had_turns` says of a thread whether it should remember something."""
        self._had_turns = had_turns
        self._known = False

    async def check(self, thread_id: str) -> None:
        """Look at a thread of which nothing is there.

        Raises:
            MemoryLost: something should be there.
        """
        if fresh.get() or not await patiently(partial(self._had_turns, thread_id)):
            return
        if not self._known:  # once: it is so of all threads
            self._known = True
            log.critical(
                "memory_lost",
                thread_id=thread_id,
                advice="Redis has lost what it held: restore its data (see appendonly in "
                "redis.conf), or let clients begin new threads. The history is complete.",
            )
        raise MemoryLost(
            f"What the thread {thread_id} remembered is gone: Redis came back without its data. "
            f"Its finished turns are in the history (GET /api/chat/history/{thread_id}): go on in "
            "a new thread, or delete this one."
        )
