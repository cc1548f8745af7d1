"""How many runs are under way at once: the others wait, each thread's first in the order they came.

A run has its thread before it asks for a slot, so that a thread with a thousand runs waits once. A
tenth of the slots is kept for runs that a client waits for, and another for those of the
background: neither can shut out the other.
"""

import asyncio
from collections import deque
from contextlib import suppress

from everturn.server.errors import Overloaded
from everturn.server.runs.run import Run


class Slots:
    """Knows which runs of this process are under way."""

    def __init__(
        self, max_runs: int, max_waiting: int, longest_wait: float, *, background: bool = True
    ) -> None:
        """Bound what is under way and what waits here.

        Args:
            max_runs: runs under way at once.
            max_waiting: runs of clients that wait for a slot.
            longest_wait: seconds; once one has waited for so long, more are refused.
            background: whether runs of the background begin here; else all slots are for clients.
        """
        self.max_runs = max_runs
        share = max_runs - max_runs // 10
        self._client_share = share if background else max_runs
        self._background_share = share if background else 0
        self._max_waiting = max_waiting
        self._longest_wait = longest_wait
        self._clients = 0
        self._background = 0
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()

    @property
    def under_way(self) -> int:
        """How many runs have a slot."""
        return self._clients + self._background

    @property
    def free(self) -> int:
        """How many runs of the background could begin now."""
        return max(0, min(self.max_runs - self.under_way, self._background_left))

    @property
    def _background_left(self) -> int:
        return self._background_share - self._background

    @property
    def waiting(self) -> int:
        """How many runs of clients wait for a slot."""
        return len(self._waiting)

    @property
    def oldest(self) -> float:
        """Seconds that the next of them has waited."""
        if not self._waiting:
            return 0.0
        return asyncio.get_running_loop().time() - self._waiting[0][1]

    def check(self) -> None:
        """Refuse one more run of a client.

        Raises:
            Overloaded: it would wait for too long, or behind too many.
        """
        wait = self.oldest
        if wait > self._longest_wait or len(self._waiting) >= self._max_waiting:
            raise Overloaded(
                "Too many runs are under way: come back later, or see EVERTURN_MAX_RUNS.",
                retry_after=max(1.0, min(wait, self._longest_wait)),
            )

    def reserve(self, most: int) -> int:
        """Take slots for runs of the background, as many as there are; return how many."""
        # Who waits goes first.
        clients = min(len(self._waiting), self._client_share - self._clients)
        left = self.max_runs - self.under_way - clients
        taken = max(0, min(most, left, self._background_left))
        self._background += taken
        return taken

    def give_back(self, count: int) -> None:
        """Take back slots that were reserved and are not needed."""
        self._background -= count
        self._let_in()

    async def enter(self, run: Run) -> None:
        """Wait for a run's slot, unless one was reserved for it."""
        if run.has_slot:
            return
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        entry = (place, loop.time())
        self._waiting.append(entry)
        self._let_in()
        try:
            if not place.done():
                await place
        except asyncio.CancelledError:
            if place.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(entry)
            else:  # it was let in at the same moment
                self._clients -= 1
                self._let_in()
            raise
        run.has_slot = "client"

    def leave(self, run: Run) -> None:
        """Give a run's slot to the next."""
        if run.has_slot == "client":
            self._clients -= 1
        elif run.has_slot == "background":
            self._background -= 1
        run.has_slot = None
        self._let_in()

    def _has_room(self) -> bool:
        return self._clients < self._client_share and self.under_way < self.max_runs

    def _let_in(self) -> None:
        while self._waiting and self._has_room():
            place, _ = self._waiting.popleft()
            if not place.cancelled():
                self._clients += 1
                place.set_result(None)
