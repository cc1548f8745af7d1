"""Windows as lines: one point a step, of one process or of several together."""

from collections.abc import Iterable, Mapping, Sequence

from everturn.server.observe.now.counts import DOLLAR, Counts, no_counts, percentile, rounded, total
from everturn.server.observe.now.window import STEP_SECONDS, STEPS, Window, number_at

Point = Mapping[str, float | None]
"""A point by the names of `COLUMNS`, and its `time`."""

COLUMNS = (
    *("turns_per_second", "first_token_p50", "first_token_p95", "seconds_p50", "seconds_p95"),
    *("tokens", "cost", "running", "waiting"),
)

_NOTHING = dict.fromkeys(COLUMNS)
_SHORTEST = 1.0
"""Seconds: a step that has just begun is no measure of how many turns there are."""


class Lines:
    """The points of the same windows; those of steps that are over are made once."""

    def __init__(self) -> None:
        self._points: dict[int, Point] = {}
        self._of: Sequence[Window] = ()
        self._newest = 0

    def update(self, windows: Sequence[Window], now: float) -> list[Point]:
        """Make anew what may have changed, and return it: mostly the step under way alone."""
        newest = number_at(now)
        if list(map(id, windows)) != list(map(id, self._of)):
            self._points, self._of = {}, windows
        changed = set(range(max(self._newest, newest - STEPS + 1), newest + 1))
        for window in windows:
            changed |= window.late
            window.late.clear()
        self._newest = newest
        wanted = range(newest - STEPS + 1, newest + 1)
        self._points = {
            number: made
            if (made := self._points.get(number)) and number not in changed
            else _point(number, windows, now)
            for number in wanted
        }
        return [self._points[number] for number in sorted(changed) if number in self._points]

    def columns(self) -> Mapping[str, Sequence[float | None]]:
        """Return all points, column by column."""
        points = self._points.values()
        return {name: [point[name] for point in points] for name in ("time", *COLUMNS)}


def summary(counts: Counts) -> dict[str, float | None]:
    """Return what lines and figures both say of counts."""
    first, seconds, took = counts["first_token"], counts["seconds"], counts["took"]
    return {
        "first_token_p50": percentile(first, 0.5),
        "first_token_p95": percentile(first, 0.95),
        "seconds_p50": percentile(seconds, 0.5),
        "seconds_p95": percentile(seconds, 0.95),
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


def _point(number: int, windows: Sequence[Window], now: float) -> Point:
    begins = number * STEP_SECONDS
    there = [window for window in windows if number_at(window.begun) <= number]
    if not there:
        return {"time": begins, **_NOTHING}
    steps = [step for window in there if (step := window.steps.get(number))]
    counts = total(step.counts for step in steps) if steps else no_counts()
    began = max(begins, min(window.begun for window in there))
    seconds = max(_SHORTEST, min(now, begins + STEP_SECONDS) - began)
    return {
        "time": begins,
        "turns_per_second": rounded(sum(counts["turns"].values()) / seconds),
        **summary(counts),
        "running": added(step.running for step in steps),
        "waiting": added(step.waiting for step in steps),
    }
