"""What is counted is forgotten after 15 minutes, to the last number; and lines show all of it."""

import random
from itertools import pairwise
from math import ceil

import pytest

from everturn.server.observe.now.counts import (
    Counts,
    add,
    both,
    bucket,
    by_first,
    no_counts,
    percentiles,
)
from everturn.server.observe.now.lines import COLUMNS, Lines
from everturn.server.observe.now.window import STEP_SECONDS, STEPS, Step, Window, number_at

BEGUN = 1_800_000_000.0
WINDOW = STEPS * STEP_SECONDS


def turn(window: Window, now: float, seconds: float = 1.0, tokens: int = 7) -> None:
    step = window.step(now)
    window.count(step, "turns", "success")
    window.count(step, "seconds", bucket(seconds))
    window.count(step, "took", "tokens", tokens)


def plain(counts: Counts) -> dict[str, dict[str, int]]:
    """What is in counts, without groups and names of nothing."""
    kept = {group: {k: v for k, v in each.items() if v} for group, each in counts.items()}
    return {group: each for group, each in kept.items() if each}


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_true_within_4_percent(share: float, seed: int) -> None:
    chance = random.Random(seed)
    durations = [chance.lognormvariate(0, 2) + 0.001 for _ in range(chance.randint(1, 2000))]
    counts = no_counts()
    for seconds in durations:
        counts["seconds"][bucket(seconds)] += 1
    (found,) = percentiles(counts["seconds"], share)
    assert found is not None
    ranked = sorted(durations)
    rank = ceil(share * len(ranked)) - 1  # which rounding may move by one
    assert ranked[max(0, rank - 1)] * 0.96 < found < ranked[min(rank + 1, len(ranked) - 1)] * 1.041


def test_percentiles_of_nothing_and_of_the_shortest() -> None:
    assert percentiles({}, 0.95, 0.5) == [None, None]
    found, again = percentiles({bucket(0.0): 1}, 0.95, 0.5)
    assert found == again
    assert found is not None
    assert 0 < found < 0.001


def test_what_is_older_than_the_window_is_forgotten_exactly() -> None:
    chance, window, now = random.Random(7), Window(BEGUN), BEGUN
    for _ in range(2000):
        now += chance.choice([0.0, 0.3, 3.0, 30.0, 300.0 if chance.random() < 0.05 else 1.0])
        turn(window, now, chance.expovariate(1), chance.randint(0, 100))
        assert all(number_at(now) - STEPS < number <= number_at(now) for number in window.steps)
    summed = no_counts()
    for step in window.steps.values():
        add(summed, step.counts)
    assert plain(window.sum) == plain(summed)
    window.pass_on(now + WINDOW + STEP_SECONDS)
    assert plain(window.sum) == {}
    assert window.steps == {}


def test_a_clock_that_goes_back_does_not_take_time_back() -> None:
    window = Window(BEGUN)
    turn(window, BEGUN + 100)
    turn(window, BEGUN + 50)
    turn(window, BEGUN - 5000)
    assert list(window.steps) == [number_at(BEGUN + 100)]
    assert window.sum["turns"]["success"] == 3


def test_a_copy_says_the_same_however_often_its_steps_come() -> None:
    window, copy = Window(BEGUN), Window(BEGUN)
    for second in range(0, 60, 3):
        turn(window, BEGUN + second)
        number = number_at(BEGUN + second)
        step = Step()
        add(step.counts, window.steps[number].counts)
        copy.put(number, step)
    assert plain(copy.sum) == plain(window.sum)


def test_names_are_taken_apart_where_the_last_one_begins() -> None:
    model = "a\0strange/model:free"
    assert by_first({both(model, "timeout"): 2, both(model, "cut"): 1, both("b", "cut"): 3}) == {
        model: {"timeout": 2, "cut": 1},
        "b": {"cut": 3},
    }


def test_lines_have_a_point_for_each_step_and_nothing_before_the_start() -> None:
    window, lines = Window(BEGUN), Lines()
    turn(window, BEGUN + 25, seconds=2.0)
    changed = lines.update([window], BEGUN + 31)
    columns = lines.columns()
    assert columns.keys() == {"time", *COLUMNS}
    assert {len(column) for column in columns.values()} == {STEPS}
    assert {b - a for a, b in pairwise(map(float, columns["time"]))} == {STEP_SECONDS}  # type: ignore[arg-type]
    assert columns["turns_per_second"][-5:] == [None, 0, 0, 0.1, 0]
    assert columns["seconds_p50"][-3:] == [None, pytest.approx(2.0, rel=0.05), None]
    assert columns["tokens"][-5:] == [None, 0, 0, 7, 0]
    assert columns["running"][-2:] == [None, None]  # nobody has looked
    assert [point["time"] for point in changed] == [BEGUN + 30]


def test_only_what_may_have_changed_is_made_anew() -> None:
    window, lines = Window(BEGUN), Lines()
    lines.update([window], BEGUN + 31)
    assert [point["time"] for point in lines.update([window], BEGUN + 32)] == [BEGUN + 30]
    turn(window, BEGUN + 33)
    now = lines.update([window], BEGUN + 40)
    assert [point["time"] for point in now] == [BEGUN + 30, BEGUN + 40]
    assert now[0]["tokens"] == 7
    # Nobody has looked for a while: also what was under way then is made anew.
    turn(window, BEGUN + 49)
    turn(window, BEGUN + 61)
    later = lines.update([window], BEGUN + 100)
    assert [point["tokens"] for point in later] == [7, 0, 7, 0, 0, 0, 0]
    assert [each for each in lines.columns()["tokens"] if each] == [7, 7, 7]


def test_lines_go_on_when_the_clock_has_gone_back() -> None:
    window, lines = Window(BEGUN), Lines()
    turn(window, BEGUN + 5)
    for second in (1000, 40, -3000, 50, 2000):
        window.pass_on(BEGUN + second)
        changed = lines.update([window], BEGUN + second)
        columns = lines.columns()
        assert len(columns["time"]) == STEPS
        assert columns["time"][-1] == changed[-1]["time"] == BEGUN + second // 10 * 10


def test_several_windows_are_one_line_and_what_comes_late_is_in_it() -> None:
    one, other, lines = Window(BEGUN), Window(BEGUN + 10), Lines()
    turn(one, BEGUN + 12, seconds=1.0)
    turn(other, BEGUN + 13, seconds=9.0)
    one.step(BEGUN + 12).saw(2, 0)
    one.step(BEGUN + 12).saw(1, 5)
    other.step(BEGUN + 13).saw(3, 1)
    lines.update([one, other], BEGUN + 30)
    columns = lines.columns()
    assert columns["tokens"][-4:] == [0, 14, 0, 0]
    assert columns["running"][-3:] == [5, None, None]
    assert columns["waiting"][-3:] == [6, None, None]
    assert columns["seconds_p95"][-3] == pytest.approx(9.0, rel=0.05)
    late = Step()
    late.counts["took"]["tokens"] = 100
    other.put(number_at(BEGUN + 13), late)
    changed = lines.update([one, other], BEGUN + 31)
    assert [point["tokens"] for point in changed] == [107, 0]
