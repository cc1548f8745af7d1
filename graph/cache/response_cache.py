"""Answers that are kept: found by their key, or made by the first of those who ask at once.

Callers of this process wait for the first one through a future, those of other processes through
the store. Where the first one fails, each asks for itself. While the store does not answer, models
are asked as if there were no cache.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from structlog import get_logger

from everturn.graph.cache.settings import CacheSettings
from everturn.tools.kit.cache import ResultStore

log = get_logger(__name__)

Use = Literal["hit", "miss", "joined", "bypassed", "uncached"]
"""joined: another caller was asking the same; bypassed: the caller wanted a new answer; uncached:
the store did not answer."""

_PAUSE = 5.0  # s without a store that did not answer


class AnswerStore(ResultStore, Protocol):
    """Keeps answers; several processes may share one. Any method may raise anything."""

    async def peek(self, key: str) -> str | None:
        """Return an answer that is there, and wait for no other process."""
        ...

    async def forget(self, beginning: str) -> int:
        """Drop all answers whose keys begin so; return how many there were."""
        ...


class MemoryAnswers:
    """The answers of one process, those that end first dropped first."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._max_bytes, self._clock, self._bytes = max_bytes, clock, 0

    async def find(self, key: str, lease: float) -> str | None:
        """See `ResultStore`; within one process `ResponseCache` lets only one ask."""
        return await self.peek(key)

    async def peek(self, key: str) -> str | None:
        """See `AnswerStore`."""
        until, answer = self._kept.get(key, (0.0, ""))
        return answer if until > self._clock() else None

    async def keep(self, key: str, result: str, ttl: float) -> None:
        """See `ResultStore`."""
        self._drop(key)
        self._kept[key] = self._clock() + ttl, result
        self._bytes += len(result.encode())
        while self._bytes > self._max_bytes:
            self._drop(min(self._kept, key=lambda each: self._kept[each][0]))

    async def give_up(self, key: str) -> None:
        """See `ResultStore`; no other process waits."""

    async def forget(self, beginning: str) -> int:
        """See `AnswerStore`."""
        keys = [key for key in self._kept if key.startswith(beginning)]
        for key in keys:
            self._drop(key)
        return len(keys)

    def _drop(self, key: str) -> None:
        _, answer = self._kept.pop(key, (0.0, ""))
        self._bytes -= len(answer.encode())


@dataclass(slots=True)
class Look:
    """One look into the cache."""

    use: Use
    leads: bool = False
    """Others wait for what this caller makes."""
    found: str | None = None
    """The answer; without one the caller asks a model, and sets `made`."""
    made: str | None = None
    """What is to be kept."""


class ResponseCache:
    """The cache of one process, over a store that others may share."""

    def __init__(
        self,
        settings: CacheSettings,
        store: AnswerStore | None = None,
        count: Callable[[str], None] = lambda use: None,
    ) -> None:
        """Wire it up; `count` is called with the `Use` of each look."""
        self.settings = settings
        self._store = store or MemoryAnswers(settings.response_cache_bytes)
        self._count = count
        self._flights: dict[str, asyncio.Future[str | None]] = {}
        self._paused_until = 0.0

    @asynccontextmanager
    async def look(
        self, key: str, ttl: float, lease: float, good: Callable[[str], bool] | None
    ) -> AsyncIterator[Look]:
        """Look for an answer, and keep for `ttl` seconds what the caller has made in the block.

        Args:
            key: names the owner and the question.
            ttl: seconds for which an answer may be used.
            lease: seconds that others wait for this caller, and this one for others.
            good: says whether an answer that was found will do; none: a new one is wanted.
        """
        if good is None:
            async with self._counted(key, Look("bypassed"), ttl) as look:
                yield look
            return
        if (flight := await self._landed(key, lease)) is not None:
            found = flight.result() if flight.done() else None
            known = Look("joined", found=found) if found and good(found) else Look("miss")
            async with self._counted(key, known, ttl) as look:
                yield look
            return
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            async with self._counted(key, await self._find(key, lease, good), ttl) as look:
                yield look
            flight.set_result(look.found or look.made)
        except BaseException:
            flight.cancel()  # one of those who wait is the first now
            raise
        finally:
            del self._flights[key]

    async def forget(self, owner: str) -> int:
        """Drop all answers of an owner, as `key_of` begins their keys; return how many."""
        return await self._store.forget(owner)

    async def _landed(self, key: str, lease: float) -> "asyncio.Future[str | None] | None":
        """Wait for the caller who asks the same; None: there is none, and this one is the first."""
        while (flight := self._flights.get(key)) is not None:
            await asyncio.wait({flight}, timeout=lease)  # it outlives a caller who is cancelled
            if not flight.cancelled():
                return flight
        return None

    async def _find(self, key: str, lease: float, good: Callable[[str], bool]) -> Look:
        if time.monotonic() < self._paused_until:
            return Look("uncached")
        try:
            found = await self._store.find(key, lease)
        except Exception as error:
            self._pause(error)
            return Look("uncached")
        if found is None:
            return Look("miss", leads=True)
        return Look("hit", found=found) if good(found) else Look("bypassed")

    @asynccontextmanager
    async def _counted(self, key: str, look: Look, ttl: float) -> AsyncIterator[Look]:
        """Count a look; at the end give the store what was made, or give up."""
        self._count(look.use)
        try:
            yield look
        finally:
            if look.made is not None and look.use != "uncached":
                await self._report(self._store.keep(key, look.made, ttl))
            elif look.leads:
                await self._report(self._store.give_up(key))

    async def _report(self, report: Coroutine[Any, Any, None]) -> None:
        try:  # also where the caller is cancelled meanwhile
            await asyncio.shield(asyncio.ensure_future(report))
        except Exception as error:
            self._pause(error)

    def _pause(self, error: Exception) -> None:
        self._paused_until = time.monotonic() + _PAUSE
        log.warning("response_cache_unavailable", error=f"{type(error).__name__}: {error}")
