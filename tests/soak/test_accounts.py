"""The comparison finds what it is for: each promise, broken in an account that is made up."""

from typing import Any

import pytest

from tests.soak.accounts import Thread, findings
from tests.soak.journal import Entry
from tests.soak.project.graph import NODES
from tests.soak.turns import Turn

HUMAN, AI = ("human", "q1 5 1"), ("ai", "answer to q1 well")
STEPS = [f"q1 {node}" for node in NODES]
KEPT = Thread([HUMAN, AI], STEPS, "idle", {"r": "success"}, [(HUMAN[1], AI[1])])


def turn(**more: Any) -> Turn:
    made = Turn("t", "message", HUMAN[1], run_id="r", answers=["answer to q1 well"])
    made.acknowledged_at, made.sent_at, made.told_at = 2.0, 1.0, 3.0
    for name, value in more.items():
        setattr(made, name, value)
    return made


def promises(asked: list[Turn], thread: Thread, entries: list[Entry] | None = None) -> set[str]:
    return {each.promise for each in findings(asked, {"t": thread}, entries or [])}


def test_nothing_is_found_where_all_is_kept() -> None:
    assert promises([turn()], KEPT) == set()


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"messages": [HUMAN]}, {"lost", "history"}),
        ({"messages": [HUMAN, AI, HUMAN, AI]}, {"doubled", "asked twice", "history"}),
        ({"messages": [HUMAN, HUMAN, AI]}, {"asked twice", "unanswered"}),
        ({"status": "busy"}, {"stuck"}),
        ({"status": "error"}, {"error"}),
        ({"runs": {"r": "running"}}, {"stuck"}),
        ({"runs": {"r": "error"}}, {"error"}),
        ({"history": []}, {"history"}),
        ({"history": [*KEPT.history, *KEPT.history]}, {"history"}),
        ({"steps": [*STEPS, STEPS[0]]}, {"steps"}),
    ],
)
def test_what_the_service_says_is_compared(changed: dict[str, Any], found: set[str]) -> None:
    assert promises([turn()], KEPT._replace(**changed)) == found


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"answers": []}, {"not told"}),
        ({"answers": ["answer to q2 well"]}, {"wrong answer"}),
        ({"problems": ["404"]}, {"told"}),
        ({"events": ["1-1", "1-2", "1-1"]}, {"events"}),
    ],
)
def test_what_clients_heard_is_compared(changed: dict[str, Any], found: set[str]) -> None:
    assert promises([turn(**changed)], KEPT) == found


def test_a_turn_that_was_not_acknowledged_may_be_lost_where_it_is_not_sent_again() -> None:
    cut = turn(acknowledged_at=0.0, answers=[], run_id="", kind="background")
    assert promises([cut], KEPT._replace(messages=[], steps=[], runs={}, history=[])) == set()


def test_what_was_acknowledged_first_comes_first() -> None:
    later = turn(text="q2 5 1", answers=["answer to q2 well"], run_id="s")
    later.sent_at, later.acknowledged_at = 5.0, 6.0
    said = [("human", "q2 5 1"), ("ai", "answer to q2 well"), HUMAN, AI]
    thread = Thread(
        said,
        [*STEPS, *(f"q2 {node}" for node in NODES)],
        "idle",
        {"r": "success", "s": "success"},
        [(said[0][1], said[1][1]), *KEPT.history],
    )
    assert promises([turn(), later], thread) == {"order"}


def test_one_node_may_be_repeated_by_a_death() -> None:
    entries = [Entry(1.0, 1, "r", 1, "q1", node, "begin") for node in ("plan", "plan", "look")]
    durable = turn(durable=True, kind="background")
    assert promises([durable], KEPT, entries) == set()
    assert promises([durable], KEPT, [*entries, entries[-1]]) == {"repeated"}
