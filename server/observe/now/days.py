"""What all processes have taken on a day: each amount is added once, whoever waits for it."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from everturn.server.observe.now.counts import Counts
from everturn.server.observe.now.recorder import day_at


class Counted(Protocol):
    """Where all count what they have taken."""

    async def count(self, day: str, tokens: int, cost: int) -> tuple[int, int]:
        """Add to what was taken on a day; return what it is then."""
        ...


class Days:
    """Adds what this process takes to what all have taken."""

    def __init__(self, taken: Counts, all_of_them: Counted) -> None:
        """Add up what is `taken` by day here; a day that is over is forgotten."""
        self.today = 0, 0
        """Tokens and cost of all, as they were last heard of."""
        self._taken = taken
        self._all = all_of_them
        self._added: dict[str, tuple[int, int]] = {}
        self._under_way: asyncio.Task[None] | None = None

    async def save(self, now: float, *, asks: bool = False) -> None:
        """Add what was taken to what all have taken; with `asks` also know what that is.

        Who waits no longer does not stop it: what was sent is added, and must not be sent again.
        """
        while self._under_way is not None and not self._under_way.done():
            await asyncio.wait({self._under_way})
        self._under_way = task = asyncio.create_task(self._add(now, asks=asks), name="now: the day")
        task.add_done_callback(_look_at)
        await asyncio.wait({task})
        await task

    async def _add(self, now: float, *, asks: bool) -> None:
        today = day_at(now)
        for day in {*self._taken, today}:
            took: Mapping[str, int] = self._taken.get(day, {})
            all_of_it = took.get("tokens", 0), took.get("cost", 0)
            added = self._added.get(day, (0, 0))
            tokens, cost = all_of_it[0] - added[0], all_of_it[1] - added[1]
            if tokens or cost or (asks and day == today):
                known = await self._all.count(day, tokens, cost)
                self._added[day] = all_of_it
                if day == today:
                    self.today = known
            if day != today:
                self._taken.pop(day, None)
                self._added.pop(day, None)


def _look_at(done: asyncio.Task[None]) -> None:
    """Take note of what it raised: nobody may have waited for it."""
    if not done.cancelled():
        done.exception()
