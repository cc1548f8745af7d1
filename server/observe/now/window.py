"""The last 15 minutes of one process, in steps of 10 s."""

from dataclasses import dataclass, field

from everturn.server.observe.now.counts import Counts, add, no_counts, take_off

STEP_SECONDS = 10
STEPS = 90


@dataclass(slots=True)
class Step:
    """What was counted in 10 s, and the most that was seen at once."""

    counts: Counts = field(default_factory=no_counts)
    running: int | None = None
    """Runs under way; None: not looked at."""
    waiting: int | None = None

    def saw(self, running: int, waiting: int) -> None:
        """Keep the most that was seen."""
        self.running = max(running, self.running or 0)
        self.waiting = max(waiting, self.waiting or 0)


class Window:
    """The steps by their number, and their sum."""

    def __init__(self, begun: float, sum_of_several: Counts | None = None) -> None:
        """Begin at a moment, in Unix seconds; nothing is known of what was before.

        What is put into it is added to `sum_of_several`, too, and taken off when it is forgotten.
        """
        self._sums = [] if sum_of_several is None else [sum_of_several]
        self.begun = begun
        self.steps: dict[int, Step] = {}
        self.sum = no_counts()
        self._sums.append(self.sum)
        self.changed: set[int] = set()
        """Steps in which something was counted since somebody has emptied this."""
        self.late: set[int] = set()
        """Steps that were put in their place, since somebody has emptied this."""
        self._newest = number_at(begun)

    def step(self, now: float) -> Step:
        """Return the step of a moment; what is too old by then is forgotten.

        A clock that goes back does not make time go back: the newest step stays.
        """
        number = max(number_at(now), self._newest)
        if number != self._newest:
            self._newest = number
            self._forget()
        found = self.steps.get(number)
        if found is None:
            found = self.steps[number] = Step()
        self.changed.add(number)
        return found

    def count(self, step: Step, group: str, name: str, number: int = 1) -> None:
        """Count something in a step of this window, and so in the sum."""
        step.counts[group][name] += number
        self.sum[group][name] += number

    def put(self, number: int, step: Step) -> None:
        """Put a step in the place of the one of this number: of a copy of another window."""
        if (before := self.steps.get(number)) is not None:
            self._take_off(before)
        self.steps[number] = step
        for each in self._sums:
            add(each, step.counts)
        self.late.add(number)

    def pass_on(self, now: float) -> None:
        """Forget what is too old."""
        self._newest = max(number_at(now), self._newest)
        self._forget()

    def _forget(self) -> None:
        oldest = self._newest - STEPS + 1
        # In the order of their numbers, but for a copy's that came late.
        for number in [each for each in self.steps if each < oldest]:
            self._take_off(self.steps.pop(number))
            self.changed.discard(number)

    def clear(self) -> None:
        """Forget everything."""
        while self.steps:
            self._take_off(self.steps.popitem()[1])

    def _take_off(self, step: Step) -> None:
        for each in self._sums:
            take_off(each, step.counts)


def number_at(moment: float) -> int:
    """Return the number of the step of a moment, the same in all processes."""
    return int(moment // STEP_SECONDS)
