"""Counts what tools do: for `GET /api/tools` and for metrics."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol

from everturn.tools.kit.cache import Use
from everturn.tools.kit.health import Health
from everturn.tools.kit.results import Failure

_WEIGHT = 0.3  # of the newest call, in the moving average
_CALLERS_FAULT: set[Failure] = {"malformed_call", "wrong_arguments", "refused"}


class Meter(Protocol):
    """Is called for each call of a tool, for instance by metrics."""

    def tool_called(self, tool: str, status: str, seconds: float) -> None:
        """Count a call; its status is `success` or a class of failure."""
        ...

    def tool_cache_used(self, tool: str, use: str) -> None:
        """Count a look into the cache."""
        ...


@dataclass(slots=True)
class Counts:
    """What one tool has done since the start of this process."""

    calls: int = 0
    errors: int = 0
    """Calls that failed, by the tool's or the model's fault."""
    cache_hits: int = 0
    failing: float = 0.0
    """The share of calls that failed by the tool's own fault, lately."""

    @property
    def health(self) -> Health:
        """What the counts say."""
        if self.failing > 0.5:  # noqa: PLR2004 - more often than not
            return Health("degraded", "most of its calls failed lately")
        return Health()


class Counter:
    """Keeps the counts of each tool, and passes on what it counts."""

    def __init__(self, meter: Meter | None = None) -> None:
        self.counts: defaultdict[str, Counts] = defaultdict(Counts)
        self._meter = meter

    def called(self, tool: str | None, failure: Failure | None, seconds: float = 0.0) -> None:
        """Count a call that took so many seconds; tool `None`: the model named no tool there is."""
        if tool is not None:
            counts = self.counts[tool]
            counts.calls += 1
            counts.errors += failure is not None
            if failure not in _CALLERS_FAULT:
                counts.failing += _WEIGHT * ((failure is not None) - counts.failing)
        if self._meter:
            # The names that models make up are without end.
            self._meter.tool_called(tool or "unknown", failure or "success", seconds)

    def cache_used(self, tool: str, use: Use) -> None:
        """Count a look into the cache."""
        self.counts[tool].cache_hits += use in {"hit", "joined"}
        if self._meter:
            self._meter.tool_cache_used(tool, use)
