"""How a figure is declared: in one registry, with few values of each label."""

from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

# When a series began is a series more for each, which several processes do not have anyway.
disable_created_metrics()  # type: ignore[no-untyped-call]

# From the offline model's milliseconds to the longest turn (EVERTURN_TURN_TIMEOUT's default).
SECONDS = (0.05, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

MAX_NAMES, MAX_CHARACTERS = 200, 200


class Figures:
    """Declares figures in a registry of their own, so that two services can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

    def counter(self, name: str, what: str, *labels: str) -> Counter:
        """A count since the start, of all processes together."""
        return Counter(name, what, labels, registry=self.registry)

    def gauge(
        self, name: str, what: str, *labels: str, of_all: Literal["livesum", "livemax"] = "livesum"
    ) -> Gauge:
        """A figure of this moment; `of_all` says what becomes of those of several processes."""
        return Gauge(name, what, labels, registry=self.registry, multiprocess_mode=of_all)

    def histogram(
        self, name: str, what: str, *labels: str, buckets: tuple[float, ...] = SECONDS
    ) -> Histogram:
        """How often how much, in buckets of seconds where nothing else is said."""
        return Histogram(name, what, labels, registry=self.registry, buckets=buckets)


class Names:
    """The values of a label that others choose: after very many, and for long ones, `other`.

    Each is a series for each figure, for as long as the process lives.
    """

    def __init__(self, *own: str) -> None:
        """Keep room for our own values, which alerts look for: they are never `other`."""
        self._own, self._known = frozenset(own), set[str]()

    def __call__(self, name: str) -> str:
        """Return a name, or `other`."""
        if name in self._own:
            return name
        if len(self._known) < MAX_NAMES and len(name) <= MAX_CHARACTERS and _can_be_written(name):
            self._known.add(name)
        return name if name in self._known else "other"


def _can_be_written(name: str) -> bool:
    """Say whether a name has no halves of letters: JSON may name them, and UTF-8 has none."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)
