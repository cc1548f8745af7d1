"""Summaries in the making: beside the turns that need them, never in their way.

A turn that will soon show less of its thread than there is has the rest summed up by a task of its
process, and goes on. What the task makes is kept in a store of its own, by a name that
follows from the thread; the first later turn that finds it there, in whichever process, writes it
into the thread's channel `summary`. A process that is killed loses a task and nothing else: the
next turn has it made again.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextvars import Context as Variables
from time import monotonic
from typing import Any

from structlog import get_logger

from everturn.graph.cache.response_cache import AnswerStore, MemoryAnswers
from everturn.graph.summaries.settings import SummarySettings

log = get_logger(__name__)

MAX_SECONDS = 60.0
"""That a model may take to sum up."""
_LEASE = 20.0
"""Seconds that another process waits for one that sums up, and may have died."""

_KEPT = 86_400.0  # seconds until a turn must have found it
_AGAIN_AFTER = 60.0  # seconds after a failure
_MAX_AT_ONCE = 32
"""Tasks of one process: what is left out is begun by a later turn."""
MAX_BYTES = 16 * 2**20
"""Of summaries that no turn has written into its thread yet."""

Make = Callable[[], Awaitable[dict[str, Any]]]


class Summaries:
    """What one process sums up, over a store that others may share."""

    def __init__(
        self,
        settings: SummarySettings,
        store: AnswerStore | None = None,
        count: Callable[[str], None] = lambda result: None,
    ) -> None:
        """Wire it up; `count` is called with `made`, `failed` or `simple`."""
        self.settings = settings
        self.count = count
        self._store = store or MemoryAnswers(MAX_BYTES)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, float] = {}

    async def made(self, key: str) -> dict[str, Any] | None:
        """Return what was made under a name, if it is there; never waits for it."""
        if key in self._tasks:
            return None
        try:
            found = await self._store.peek(key)
        except Exception as error:
            log.warning("summary_not_read", error=type(error).__name__)
            return None
        made = json.loads(found) if found else None
        return made if isinstance(made, dict) else None

    def failed(self, key: str) -> bool:
        """Whether it could not be made a moment ago."""
        return monotonic() - self._failed.get(key, float("-inf")) < _AGAIN_AFTER

    def begin(self, key: str, make: Make, *, anew: bool = False) -> None:
        """Have something made beside the turn, unless it is being made or has just failed.

        Args:
            key: its name.
            make: makes it.
            anew: what is there under the name is of other messages, and is replaced.
        """
        if key in self._tasks or self.failed(key) or len(self._tasks) >= _MAX_AT_ONCE:
            return
        # Without the run's context: nothing of this is streamed to its client.
        task = asyncio.get_running_loop().create_task(
            self._make(key, make, anew=anew), name="summary", context=Variables()
        )
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._tasks.pop(key, None) and None)

    async def forget(self, owner: str) -> int:
        """Drop what was made for an owner, as the keys begin; returns how many there were."""
        return await self._store.forget(owner)

    async def idle(self) -> None:
        """Wait until nothing is being made."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def close(self) -> None:
        """End what is being made: a later turn has it made again."""
        for task in (tasks := list(self._tasks.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, key: str, make: Make, *, anew: bool) -> None:
        made = None
        try:
            if await self._store.find(key, _LEASE) is not None and not anew:
                return  # another process has made it
            try:
                async with asyncio.timeout(MAX_SECONDS):
                    made = json.dumps(await make())
            finally:
                report = (
                    self._store.give_up(key) if made is None else self._store.keep(key, made, _KEPT)
                )
                await asyncio.shield(asyncio.ensure_future(report))
            self.count("made")
        except Exception as error:  # of a model, of a budget, of the store
            self._failed = {k: at for k, at in self._failed.items() if self.failed(k)}
            self._failed[key] = monotonic()
            self.count("failed")
            log.warning("summary_failed", error=type(error).__name__)
