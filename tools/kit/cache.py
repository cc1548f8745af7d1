"""Results that are good for a while: made once, by the first caller.

Callers that ask the same at the same time wait for the first one, in this process through a
future, in others through the store. Failures are never kept. While the store does not answer, calls
are made without it.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, Protocol

from langchain_core.messages import ToolMessage
from structlog import get_logger

log = get_logger(__name__)

Use = Literal["hit", "miss", "joined", "uncached"]
"""joined: another caller was asking the same; uncached: the store did not answer."""

_PAUSE = 5.0  # s without a store that did not answer


class ResultStore(Protocol):
    """Keeps results; several processes may share one. Any method may raise anything."""

    async def find(self, key: str, lease: float) -> str | None:
        """Return a result; with `None` the caller is to make it, within `lease` seconds.

        While another process makes it, this waits for that one, for as long as its lease.
        """
        ...

    async def keep(self, key: str, result: str, ttl: float) -> None:
        """Keep a result for `ttl` seconds, and hand it to those who wait."""
        ...

    async def give_up(self, key: str) -> None:
        """Let those that wait know that there will be no result."""
        ...


class MemoryStore:
    """The results of one process, those used longest ago dropped first."""

    def __init__(
        self, most: int = 1000, characters: int = 16_000_000, clock: Callable[[], float] = time.time
    ) -> None:
        """Keep `most` results and so many characters at most."""
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._most, self._characters, self._clock = most, characters, clock
        self._size = 0

    async def find(self, key: str, lease: float) -> str | None:
        """See `ResultStore`; within one process `ToolCache` lets only one ask."""
        if key not in self._kept:
            return None
        until, result = self._kept[key]
        if until <= self._clock():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return result

    async def keep(self, key: str, result: str, ttl: float) -> None:
        """See `ResultStore`."""
        self._drop(key)
        if len(result) > self._characters:
            return
        self._kept[key] = self._clock() + ttl, result
        self._size += len(result)
        while len(self._kept) > self._most or self._size > self._characters:
            self._drop(next(iter(self._kept)))

    async def give_up(self, key: str) -> None:
        """See `ResultStore`; no other process waits."""

    def _drop(self, key: str) -> None:
        _, result = self._kept.pop(key, (0.0, ""))
        self._size -= len(result)


class Made(NamedTuple):
    """What came of a call, and whether it may be kept."""

    answer: Any
    keep: bool


class ToolCache:
    """The cache of one process, over a store that others may share."""

    def __init__(self, store: ResultStore | None = None) -> None:
        self._store = store or MemoryStore()
        self._flights: dict[str, asyncio.Future[ToolMessage | None]] = {}
        self._paused_until = 0.0

    async def answer(
        self, key: str, ttl: float, lease: float, make: Callable[[], Awaitable[Made]]
    ) -> tuple[Any, Use]:
        """Return the answer kept under `key`, or make it.

        Args:
            key: from `key_of`.
            ttl: seconds the answer is good for.
            lease: seconds that making it takes at most.
            make: makes it; what it raises is raised here.
        """
        while (flight := self._flights.get(key)) is not None:
            await asyncio.wait({flight})  # which outlives it if this caller is cancelled
            if flight.cancelled():
                continue  # the caller that made it was cancelled: another one has to
            shared = flight.result()
            return ((await make()).answer, "miss") if shared is None else (shared, "joined")
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            answer, use = await self._find_or_make(key, ttl, lease, make)
            flight.set_result(_shareable(answer))
        except BaseException:
            flight.cancel()
            raise
        finally:
            del self._flights[key]
        return answer, use

    async def _find_or_make(
        self, key: str, ttl: float, lease: float, make: Callable[[], Awaitable[Made]]
    ) -> tuple[Any, Use]:
        if time.monotonic() < self._paused_until:
            return (await make()).answer, "uncached"
        try:
            found = await self._store.find(key, lease)
            if found is not None:
                return ToolMessage(json.loads(found), tool_call_id=""), "hit"
        except Exception as error:
            self._pause(error)
            return (await make()).answer, "uncached"
        text = None
        try:
            made = await make()
            if made.keep:
                text = _text_of(made.answer)
        finally:
            await self._report(key, text, ttl)
        return made.answer, "miss"

    async def _report(self, key: str, text: str | None, ttl: float) -> None:
        """Give the store the result, or give up; also where the caller is cancelled meanwhile."""
        report = self._store.give_up(key) if text is None else self._store.keep(key, text, ttl)
        try:
            await asyncio.shield(asyncio.ensure_future(report))
        except Exception as error:
            self._pause(error)

    def _pause(self, error: Exception) -> None:
        self._paused_until = time.monotonic() + _PAUSE
        log.warning("tool_cache_unavailable", error=f"{type(error).__name__}: {error}")


def key_of(name: str, version: str, args: Mapping[str, Any]) -> str | None:
    """Name a result by its tool and arguments; `None` where they cannot be written as JSON."""
    try:
        canonical = json.dumps([name, version, args], sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return None
    return blake2b(canonical.encode(), digest_size=16).hexdigest()


def _text_of(answer: Any) -> str | None:
    """Put an answer as a text to be kept: a good one, and all of it."""
    if (shared := _shareable(answer)) is None or shared.status == "error":
        return None
    try:
        return json.dumps(shared.content, ensure_ascii=False)
    except (TypeError, ValueError):
        return None


def _shareable(answer: Any) -> ToolMessage | None:
    if isinstance(answer, ToolMessage) and answer.artifact is None:
        return answer
    return None
