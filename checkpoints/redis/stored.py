"""Which checkpoints are stored by now: of those that this process has put.

LangGraph stores a step's checkpoint while the next step goes on. A tool that is called meanwhile
may do something that no stored step has asked for: its process dies, the model is asked anew, and
what it asks for then is another call. So calls wait until the step that asks for them is stored.
"""

import asyncio

_MAX_KNOWN = 10_000
"""Checkpoints that are remembered: many more than are put between a step and its next."""


class StoredSteps:
    """Remembers which puts are over, and wakes those that wait for one."""

    def __init__(self) -> None:
        self._over: dict[str, None] = {}
        self._awaited: dict[str, asyncio.Event] = {}

    def add(self, checkpoint_id: str) -> None:
        """Know that a put is over; where it failed, its run fails, too."""
        self._over[checkpoint_id] = None
        if len(self._over) > _MAX_KNOWN:
            del self._over[next(iter(self._over))]
        if event := self._awaited.pop(checkpoint_id, None):
            event.set()

    async def wait(self, checkpoint_id: str) -> None:
        """Wait until the put of a checkpoint is over."""
        if checkpoint_id not in self._over:
            await self._awaited.setdefault(checkpoint_id, asyncio.Event()).wait()
