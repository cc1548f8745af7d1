"""The circuit breaker: keeps the circuits of this process, and shares them where it can."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from structlog import get_logger

from everturn.graph.models.circuits import GIVEN_UP, Circuit, Opening, State, View, counts, opening
from everturn.graph.models.failures import Failure

log = get_logger(__name__)

T = TypeVar("T")

_PROBE = 30.0  # s that a single caller has to try whether a model is back
_READ_EVERY = 1.0  # s
_STORE_TIMEOUT = 0.25  # s: no turn waits longer for what others know
_WEIGHT = 0.3  # of the newest call, in the moving averages


class SharedCircuits(Protocol):
    """Open circuits that several processes see. Any method may raise anything."""

    async def read(self) -> Mapping[str, tuple[float, bool]]:
        """Return each circuit's seconds until it may be asked (0: now), and whether it is sure."""
        ...

    async def open(self, subject: str, seconds: float, *, sure: bool) -> None:
        """Open a circuit for all, or open it anew."""
        ...

    async def close(self, subject: str) -> None:
        """Close a circuit for all."""
        ...

    async def claim(self, subject: str, seconds: float) -> bool:
        """Say whether the caller is the only one to try, for so many seconds."""
        ...


@dataclass(slots=True)
class Vitals:
    """How a model has done lately: exponentially weighted averages."""

    latency: float | None = None
    """Seconds to the first token."""
    failing: float = 0.0
    """The share of calls that fail."""


@dataclass(slots=True)
class _Record:
    """What is known of one circuit; moments in seconds of the clock."""

    in_row: int = 0
    openings: int = 0
    until: float | None = None
    sure: bool = False
    claimed: float = 0.0
    shared: bool = False
    """It was seen in the store: once it is gone from there, another process has closed it."""


class Breaker:
    """The circuits of one provider account.

    The view is local. A store that others share is read at most once a second; one that does not
    answer changes nothing, and raises nothing.
    """

    def __init__(
        self, shared: SharedCircuits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.vitals: dict[str, Vitals] = {}
        self._shared = shared
        self._clock = clock
        self._records: dict[str, _Record] = {}
        self._read_at = float("-inf")

    async def view(self) -> View:
        """Return the circuits that are not closed."""
        now = self._clock()
        if self._shared is not None and now - self._read_at >= _READ_EVERY:
            self._read_at = now  # first: a caller that comes meanwhile does not wait
            found = await self._ask(self._shared.read())
            if found is not None:
                self._adopt(found)
        circuits = (self._circuit(subject, now) for subject in list(self._records))
        return {circuit.subject: circuit for circuit in circuits if circuit.state != "closed"}

    def states(self) -> dict[str, State]:
        """Return the circuits that are not closed, as this process knows without asking."""
        now = self._clock()
        circuits = (self._circuit(subject, now) for subject in list(self._records))
        return {each.subject: each.state for each in circuits if each.state != "closed"}

    async def claim(self, subject: str) -> bool:
        """Say whether the caller may ask: any where it is closed, one where it is half-open."""
        record, now = self._records.get(subject), self._clock()
        if record is None or self._circuit(subject, now).state == "closed":
            return True
        if self._circuit(subject, now).state != "half_open":
            return False
        record.claimed = now + _PROBE
        if self._shared is None:
            return True
        return await self._ask(self._shared.claim(subject, _PROBE)) is not False

    async def failed(self, model: str, failure: Failure) -> None:
        """Take note that a call of a model failed."""
        record = self._records.get(model) or _Record()
        record.claimed = 0.0
        if counts(failure):
            self._records[model] = record
            # A model that was only slower is never given up: it may be the last one left.
            most = GIVEN_UP - 1 if failure.kind == "outrun" else record.in_row + 1
            record.in_row = max(record.in_row, min(record.in_row + 1, most))
            vitals = self.vitals.setdefault(model, Vitals())
            vitals.failing += _WEIGHT * (1 - vitals.failing)
        opened = opening(model, failure, in_row=record.in_row, openings=record.openings)
        if opened and self._open(opened) and self._shared is not None:
            await self._ask(self._shared.open(opened.subject, opened.seconds, sure=opened.sure))

    async def succeeded(self, model: str, latency: float | None) -> None:
        """Take note that a model answered, `latency` seconds after it was asked."""
        vitals = self.vitals.setdefault(model, Vitals())
        vitals.failing -= _WEIGHT * vitals.failing
        if latency is not None:
            before = latency if vitals.latency is None else vitals.latency
            vitals.latency = before + _WEIGHT * (latency - before)
        record = self._records.get(model)
        if record is None or (record.sure and self._circuit(model, self._clock()).seconds > 0):
            return  # a call under way when the provider named a limit says nothing against it
        self._records.pop(model, None)  # gone where its time was over
        if record.until is not None and self._shared is not None:
            await self._ask(self._shared.close(model))

    def _open(self, opened: Opening) -> bool:
        """Open a circuit; say whether that is news."""
        record, now = self._records.setdefault(opened.subject, _Record()), self._clock()
        until = now + opened.seconds
        if record.until is not None and now < record.until and not opened.sure:
            return False  # calls that were under way together fail together
        record.openings += 1
        record.until, record.sure = until, opened.sure
        return True

    def _circuit(self, subject: str, now: float) -> Circuit:
        record = self._records[subject]
        if record.until is None:
            return Circuit(subject)
        left = record.until - now
        if record.sure and left <= 0:
            del self._records[subject]
            return Circuit(subject)
        # While one caller tries, it stays in doubt for those that have no other model to ask.
        left = left if left > 0 else record.claimed - now
        if left > 0:
            state: State = "open" if record.sure or record.in_row >= GIVEN_UP else "doubtful"
            return Circuit(subject, state, left)
        return Circuit(subject, "half_open")

    def _adopt(self, found: Mapping[str, tuple[float, bool]]) -> None:
        now = self._clock()
        for subject, record in list(self._records.items()):
            if record.shared and subject not in found:
                del self._records[subject]
        for subject, (seconds, sure) in found.items():
            record = self._records.setdefault(subject, _Record())
            record.until, record.sure, record.shared = now + seconds, sure, True

    async def _ask(self, asking: Awaitable[T]) -> T | None:
        """Ask the store; `None` when it does not answer."""
        try:
            async with asyncio.timeout(_STORE_TIMEOUT):
                return await asking
        except Exception as error:
            log.warning("shared_breaker_unavailable", error=f"{type(error).__name__}: {error}")
            return None
