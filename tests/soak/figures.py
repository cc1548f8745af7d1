"""What a rig has counted, and the one table that is printed of all of them."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.soak.accounts import Finding

_SHOWN = 4
"""Findings of one kind that are shown with their seeds."""
_WIDTH = 220


@dataclass
class Figures:
    """Of one rig."""

    rig: str
    trials: int = 0
    turns: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Durations by what took them."""
    numbers: dict[str, float] = field(default_factory=dict)
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many turns broke a promise, by promise and kind of turn."""
    shown: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0

    def trial(self, seed: str, found: Iterable[Finding]) -> None:
        """Count a trial, and what was broken in it."""
        self.trials += 1
        self.ended = time.monotonic()
        for each in found:
            self.broken[each.promise, each.turn] += 1
            examples = self.shown.setdefault((each.promise, each.turn), [])
            if len(examples) < _SHOWN:
                examples.append(f"{seed}: {each.what}")

    def add(self, other: "Figures") -> None:
        """Take in what was counted beside this."""
        self.trials += other.trials
        self.ended = time.monotonic()
        self.turns += other.turns
        self.broken += other.broken
        for what, seconds in other.seconds.items():
            self.took(what, seconds)
        for what, number in other.numbers.items():
            self.numbers[what] = self.numbers.get(what, 0) + number
        for kind, examples in other.shown.items():
            self.shown[kind] = [*self.shown.get(kind, ()), *examples][:_SHOWN]

    def took(self, what: str, seconds: Iterable[float]) -> None:
        """Note how long something took."""
        self.seconds.setdefault(what, []).extend(seconds)

    def must(self, what: str, *, most: float) -> None:
        """Break a promise where the 95th percentile of something is above a bound."""
        if (found := percentile(self.seconds.get(what, ()), 0.95)) > most:
            self.broken[f"{what} > {most:g} s", "p95"] += 1
            self.shown[f"{what} > {most:g} s", "p95"] = [f"{found:.1f} s"]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values is; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def print_table(rigs: Sequence[Figures]) -> int:
    """Print what all rigs found; returns how many promises were broken."""
    out = sys.stdout
    out.write(f"\n{'rig':<16}{'trials':>8}{'turns':>8}{'broken':>8}{'s':>7}  figures\n")
    for each in rigs:
        spent = each.ended - each.began if each.trials else 0
        counts = f"{each.trials:>8}{each.turns:>8}{each.broken.total():>8}{spent:>7.0f}"
        numbers = [f"{what} {number:g}" for what, number in each.numbers.items()]
        out.write(f"{each.rig:<16}{counts}  {', '.join(numbers)}\n")
        for what, taken in each.seconds.items():
            p50, p95 = percentile(taken, 0.5), percentile(taken, 0.95)
            out.write(f"{'':<16}{what:<40}p50 {p50:6.2f} s   p95 {p95:6.2f} s\n")
    for each in rigs:
        _print_broken(each)
    out.flush()
    return sum(each.broken.total() for each in rigs)


def _print_broken(figures: Figures) -> None:
    """Print how often each promise was broken, by what broke it, and the first examples."""
    promises = Counter[str]()
    for (promise, _), count in figures.broken.items():
        promises[promise] += count
    for promise, total in promises.most_common():
        by = [(turn, n) for (p, turn), n in figures.broken.most_common() if p == promise]
        print(f"\n{figures.rig}: {promise}: {total} ({', '.join(f'{t} {n}' for t, n in by)})")
        examples = [each for turn, _ in by for each in figures.shown[promise, turn][:2]]
        for example in examples[:_SHOWN]:
            print(f"    {example}"[:_WIDTH])
