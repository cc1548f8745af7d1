"""Spares a service that does not answer: callers get an error at once while its circuit is open.

A circuit opens at the first failure to reach the service, at the third bad answer in a row, or
for as long as the service says. When its time is over, one caller tries; the others still get the
error until that one has succeeded.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from everturn.tools.kit.web.errors import BadAnswer, Unreachable, WebError

_COOL, _MAX_COOL = 30.0, 600.0  # seconds: doubled with each opening
_PROBE = 30.0  # seconds that the one who tries has before another may
_BAD_IN_ROW = 3
_MAX_CIRCUITS = 256  # a name may hold a language that a model chose
_OVERLOADED = 429
_OUR_FAULT = frozenset(range(400, 500)) - {_OVERLOADED}
"""The service answers such questions with these, so it works."""


@dataclass(slots=True)
class _Circuit:
    bad: int = 0
    openings: int = 0
    until: float = 0.0
    """When it may be asked again, by the clock; 0: it is closed."""


class Breaker:
    """The circuits of one process, by name of the service."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._circuits: dict[str, _Circuit] = {}

    def seconds(self, service: str) -> float:
        """Return how long a service will not be asked; 0 when it may be."""
        circuit = self._circuits.get(service)
        return max(0.0, circuit.until - self._clock()) if circuit else 0.0

    @contextmanager
    def watching(self, service: str) -> Iterator[None]:
        """Ask a service inside of this; raises Unreachable at once while its circuit is open."""
        circuit = self._circuits.get(service) or _Circuit()
        if wait := self.seconds(service):
            raise Unreachable(f"{service} did not answer before; it is asked again in {wait:.0f} s")
        probing, was = circuit.until > 0, circuit.until
        if probing:
            circuit.until = self._clock() + _PROBE
        try:
            yield
        except WebError as error:
            self._failed(service, circuit, error)
            raise
        except BaseException:  # cancelled: it says nothing about the service
            if probing:
                circuit.until = was
            raise
        else:
            self._circuits.pop(service, None)

    def _failed(self, service: str, circuit: _Circuit, error: WebError) -> None:
        cool = min(_COOL * 2**circuit.openings, _MAX_COOL)
        if isinstance(error, BadAnswer):
            if error.status in _OUR_FAULT:
                self._circuits.pop(service, None)  # it is well
                return
            circuit.bad += 1
            opens = error.retry_after is not None or circuit.bad >= _BAD_IN_ROW
            opens = opens or error.status == _OVERLOADED or circuit.until > 0
            cool = min(error.retry_after or cool, _MAX_COOL)
        else:
            opens = True
        if opens:
            circuit.openings += 1
            circuit.until = self._clock() + cool
        if service not in self._circuits and len(self._circuits) >= _MAX_CIRCUITS:
            del self._circuits[next(iter(self._circuits))]
        self._circuits[service] = circuit
