"""Windows as lines: one point a step, of one process or of several together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from everturn.server.observe.now.counts import DOLLAR, Counts, add, no_counts, percentiles, rounded
from everturn.server.observe.now.window import STEP_SECONDS, STEPS, Window, number_at

Point = Mapping[str, float | None]
"""A point by the names of `COLUMNS`, and its `time`."""

COLUMNS = (
    *("turns_per_second", "first_token_p50", "first_token_p95", "seconds_p50", "seconds_p95"),
    *("tokens", "cost", "running", "waiting"),
)

_OF_A_POINT = ("turns", "first_token", "seconds", "took")
_NOTHING = dict.fromkeys(COLUMNS)
_AT_ONCE = 5
"""Points that are made before others have their turn."""
_SHORTEST = 1.0
"""Seconds: a step that has just begun is no measure of how many turns there are."""


class Lines:
    """The points of the same windows; those of steps that are over are made once."""

    def __init__(self) -> None:
        self._points: dict[int, Point] = {}
        self._of: Sequence[Window] = ()
        self._newest = 0

    def catch_up(self, windows: Sequence[Window], now: float) -> Iterator[None]:
        """Make the points that are missing, pausing now and then: there may be many at first."""
        newest = number_at(now)
        if list(map(id, windows)) != list(map(id, self._of)):
            self._points, self._of, self._newest = {}, windows, 0
        wanted = range(newest - STEPS + 1, newest)
        missing = [number for number in wanted if number not in self._points]
        for count, number in enumerate(missing):
            self._points[number] = _point(number, windows, now)
            if count % _AT_ONCE == _AT_ONCE - 1:
                yield

    def update(self, windows: Sequence[Window], now: float) -> list[Point]:
        """Make anew what may have changed, and return it: mostly the step under way alone.

        What has come late since `late` of the windows was emptied is among it.
        """
        for _ in self.catch_up(windows, now):
            pass
        newest = number_at(now)
        since = min(self._newest or newest, newest)  # clocks may go back
        changed = set(range(since, newest + 1)).union(*(window.late for window in windows))
        changed.intersection_update(range(newest - STEPS + 1, newest + 1))
        self._newest = newest
        for number in changed:
            self._points[number] = _point(number, windows, now)
        self._points = {
            number: self._points[number] for number in range(newest - STEPS + 1, newest + 1)
        }
        return [self._points[number] for number in sorted(changed)]

    def columns(self) -> Mapping[str, Sequence[float | None]]:
        """Return all points, column by column."""
        points = self._points.values()
        return {name: [point[name] for point in points] for name in ("time", *COLUMNS)}


def summary(counts: Counts) -> dict[str, float | None]:
    """Return what lines and figures both say of counts."""
    first_p95, first_p50 = percentiles(counts["first_token"], 0.95, 0.5)
    p95, p50 = percentiles(counts["seconds"], 0.95, 0.5)
    took = counts["took"]
    return {
        "first_token_p50": first_p50,
        "first_token_p95": first_p95,
        "seconds_p50": p50,
        "seconds_p95": p95,
        "tokens": took["tokens"],
        "cost": dollars(took["cost"]),
    }


def turns_per_second(windows: Sequence[Window], now: float, steps: int) -> float:
    """Return how many turns have ended a second, of late."""
    newest = number_at(now)
    numbers = range(newest - steps + 1, newest + 1)
    turns = sum(
        sum(step.counts["turns"].values())
        for window in windows
        for number in numbers
        if (step := window.steps.get(number))
    )
    since = max(numbers[0] * STEP_SECONDS, min(window.begun for window in windows))
    return rounded(turns / max(_SHORTEST, now - since))


def dollars(cost: int) -> float:
    """Return a cost that was counted."""
    return cost / DOLLAR


def added(numbers: Iterable[int | None]) -> int | None:
    """Add up what is known; None where nothing is."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _joined(several: Iterable[Counts]) -> Counts:
    """Add up what a point is made of."""
    joined = no_counts()
    for counts in several:
        add(joined, {group: counts[group] for group in _OF_A_POINT})
    return joined


def _point(number: int, windows: Sequence[Window], now: float) -> Point:
    begins = number * STEP_SECONDS
    there = [window for window in windows if number_at(window.begun) <= number]
    if not there:
        return {"time": begins, **_NOTHING}
    steps = [step for window in there if (step := window.steps.get(number))]
    counts = steps[0].counts if len(steps) == 1 else _joined(step.counts for step in steps)
    began = max(begins, min(window.begun for window in there))
    seconds = max(_SHORTEST, min(now, begins + STEP_SECONDS) - began)
    return {
        "time": begins,
        "turns_per_second": rounded(sum(counts["turns"].values()) / seconds),
        **summary(counts),
        "running": added(step.running for step in steps),
        "waiting": added(step.waiting for step in steps),
    }
