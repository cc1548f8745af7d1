"""Numbers that can be added up and taken off again: of a step, of a window, of all processes.

They are in groups, and whole: what was added and taken off is gone without a rest. Durations are
counted in buckets, each 8 % longer than the one before, so that percentiles can be added up, too.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from math import ceil, exp, log

Counts = defaultdict[str, Counter[str]]
"""By group and name: `counts["calls"]["qwen3"]`."""

_NONE: Counter[str] = Counter()

DOLLAR = 1_000_000_000
"""Costs are whole numbers of so many to the dollar."""

_GROWTH = log(1.08)
_SHORTEST = 0.0005
"""Seconds: the offline model's answers take more."""

_ABOVE = 100
"""Is added to the number of a bucket, so that none is below 0."""

_BETWEEN = "\0"
"""Joins two names to one."""


def no_counts() -> Counts:
    """Return counts of nothing."""
    return defaultdict(Counter)


def add(counts: Counts, more: Mapping[str, Mapping[str, int]]) -> None:
    """Add other counts."""
    for group, numbers in more.items():
        known = counts[group]
        for name, number in numbers.items():
            known[name] += number


def take_off(counts: Counts, less: Mapping[str, Mapping[str, int]]) -> None:
    """Take off what was added before; what is nothing then is forgotten."""
    for group, numbers in less.items():
        known = counts[group]
        for name, number in numbers.items():
            left = known[name] - number
            if left:
                known[name] = left
            else:
                del known[name]


def total(one: Counts, other: Counts | None) -> Counts:
    """Return the sum of counts; each group is added up when it is asked for."""
    return one if other is None else _Total(one, other)


class _Total(Counts):
    def __init__(self, one: Counts, other: Counts) -> None:
        super().__init__()
        self._one, self._other = one, other

    def __missing__(self, group: str) -> Counter[str]:
        summed = Counter(self._one.get(group, _NONE))
        for name, number in self._other.get(group, _NONE).items():
            summed[name] += number
        self[group] = summed
        return summed


def bucket(seconds: float) -> str:
    """Return the bucket of a duration; as texts they are in the order of what is in them."""
    return f"{ceil(log(max(seconds, _SHORTEST)) / _GROWTH) + _ABOVE:03d}"


def percentiles(buckets: Mapping[str, int], *shares: float) -> list[float | None]:
    """Return what each share of the durations is no longer than, within 4 %; None of none.

    The largest share comes first.
    """
    found: list[float | None] = []
    left, names = sum(buckets.values()), sorted(buckets, reverse=True)
    there, all_of_them = iter(names), left
    name = None
    for share in shares:
        # From the longest on: most of what is asked for is there.
        while left >= share * all_of_them and (longer := next(there, None)) is not None:
            name = longer
            left -= buckets[name]
        found.append(None if name is None else _middle(name))
    return found


def _middle(name: str) -> float:
    return rounded(exp((int(name) - _ABOVE - 0.5) * _GROWTH))


def rounded(number: float) -> float:
    """Return a number with four digits, which is all that is known of it."""
    return float(f"{number:.4g}")


def both(first: str, second: str) -> str:
    """Join two names to one."""
    return f"{first}{_BETWEEN}{second}"


def by_first(numbers: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Take names of `both` apart: the numbers by the second, by the first."""
    found: dict[str, dict[str, int]] = {}
    for name, number in numbers.items():
        first, _, second = name.rpartition(_BETWEEN)
        found.setdefault(first, {})[second] = number
    return found
