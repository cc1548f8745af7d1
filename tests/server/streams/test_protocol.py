"""From what a run streams to protocol events: each channel, and the same events every time."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk

from everturn.server.api.http.json import dumps
from everturn.server.streams.feed import Cursor
from everturn.server.streams.protocol import Final, Projection, ProtocolEvent, position_of
from tests.server.streams.protocol_types import checked

DONE = Final("success")
Part = tuple[str, Any]


def told(
    parts: Sequence[Part], final: Final | None = DONE, attempts: Sequence[int] = ()
) -> list[ProtocolEvent]:
    """What becomes of a run's parts; `attempts` says where another one begins."""
    projection = Projection("r1", 7)
    events: list[ProtocolEvent] = []
    attempt, number = 1, 0
    for place, (name, data) in enumerate(parts):
        if place in attempts:
            attempt, number = attempt + 1, 0
        number += 1
        events += projection.take(Cursor(attempt, number), name, dumps(data))
    return [*events, *(projection.end(final) if final else ())]


def shown(events: Sequence[ProtocolEvent]) -> list[tuple[str, tuple[str, ...], Any]]:
    for event in events:
        checked(orjson.loads(event.as_json()))
    return [(e.method, e.namespace, orjson.loads(e.data)) for e in events]


BEGIN: Part = ("metadata", {"run_id": "r1", "attempt": 1})
ASKS: Part = ("values", {"__interrupt__": [{"id": "i1", "value": "Go on?"}]})


def chunk(text: str, name: str = "messages", **more: Any) -> Part:
    return name, [AIMessageChunk(content=text, id="m1", **more), {"langgraph_node": "model"}]


def task(name: str, node: str, task_id: str, **result: Any) -> Part:
    return name, {"id": task_id, "name": node, **result}


def test_a_run_begins_and_ends() -> None:
    events = shown(told([BEGIN, ("values", {"messages": []})]))
    assert events == [
        ("lifecycle", (), {"event": "running"}),
        ("values", (), {"messages": []}),
        ("lifecycle", (), {"event": "completed"}),
    ]


def test_a_run_that_fails_says_why() -> None:
    error = {"error": "ValueError", "message": "no"}
    *_, last = shown(told([BEGIN, ("error", error)], Final("error")))
    assert last == ("lifecycle", (), {"event": "failed", "error": "ValueError: no"})


def test_a_run_that_was_cancelled_waits_for_no_answer_and_is_over() -> None:
    for status in ("interrupted", None):
        *_, last = shown(told([BEGIN, ("values", {})], Final(status)))
        assert last == ("lifecycle", (), {"event": "completed"})


def test_what_a_run_waits_for_is_asked_once() -> None:
    inner = ("updates|team:1", {"__interrupt__": [{"id": "i1", "value": "Go on?"}]})
    events = shown(told([BEGIN, ("values", {"a": 1}), inner, ASKS], Final("interrupted")))
    asked = [event for event in events if event[0] == "input.requested"]
    assert asked == [
        (
            "input.requested",
            ("team:1",),
            {"interrupt_id": "i1", "payload": "Go on?", "value": "Go on?"},
        ),
    ]
    assert events[-1] == ("lifecycle", (), {"event": "interrupted"})
    assert ("values", (), {}) not in events


def test_subgraphs_have_lives_of_their_own() -> None:
    events = shown(
        told(
            [
                BEGIN,
                task("tasks", "team", "t1", input={}),
                task("tasks|team:t1", "model", "t2", input={}),
                chunk("Hi", "messages|team:t1"),
                task("tasks|team:t1", "model", "t2", result={}, error=None, interrupts=[]),
                task("tasks", "team", "t1", result={}, error=None, interrupts=[]),
                ("values", {}),
            ]
        )
    )
    lives = [(ns, data) for method, ns, data in events if method == "lifecycle"]
    assert lives == [
        ((), {"event": "running"}),
        (("team:t1",), {"event": "started", "graph_name": "team"}),
        (("team:t1",), {"event": "completed"}),
        ((), {"event": "completed"}),
    ]
    spoken = [
        data["event"] for method, ns, data in events if (method, ns) == ("messages", ("team:t1",))
    ]
    assert spoken[-1] == "message-finish"


def test_each_node_has_its_update() -> None:
    events = shown(told([BEGIN, ("updates", {"a": {"x": 1}, "b": None}), ("values", {})]))
    updates = [data for method, _, data in events if method == "updates"]
    assert updates == [{"node": "a", "values": {"x": 1}}, {"node": "b", "values": {"value": None}}]


def test_a_checkpoint_is_its_place() -> None:
    at = {"configurable": {"checkpoint_id": "c2"}}
    streamed = {
        "config": at,
        "parent_config": {"configurable": {"checkpoint_id": "c1"}},
        "metadata": {"step": 3, "source": "loop"},
        "values": {"large": "x" * 1000},
    }
    events = shown(told([BEGIN, ("checkpoints", streamed), ("values", {})]))
    assert events[1] == (
        "checkpoints",
        (),
        {"id": "c2", "parent_id": "c1", "step": 3, "source": "loop"},
    )


def test_words_taken_back_end_their_message_and_the_next_attempt_is_another() -> None:
    reset = {"type": "reset", "message_id": "m1", "reason": "timeout"}
    other = ("messages", [AIMessageChunk(content="Whole", id="m2", chunk_position="last"), {}])
    events = shown(told([BEGIN, chunk("Half"), ("custom", reset), other, ("values", {})]))
    spoken = [data for method, _, data in events if method == "messages"]
    assert [s["event"] for s in spoken].count("error") == 1
    assert spoken[-1]["event"] == "message-finish"
    assert ("custom", (), {"name": "reset", "payload": reset}) in events


def test_a_node_may_say_anything() -> None:
    events = shown(told([BEGIN, ("custom", "a text"), ("custom", [1]), ("values", {})]))
    said = [data for method, _, data in events if method == "custom"]
    assert said == [{"payload": "a text"}, {"payload": [1]}]


def test_a_run_that_showed_nothing_shows_its_answers_and_its_state_at_its_end() -> None:
    messages = [
        {"type": "human", "content": "Hi", "id": "h1"},
        {"type": "ai", "content": "Hello", "id": "a1"},
    ]
    final = Final("success", {"messages": messages})
    events = shown(told([BEGIN], final))
    starts = [d["id"] for m, _, d in events if m == "messages" and d["event"] == "message-start"]
    assert starts == ["a1"]
    assert events[-2] == ("values", (), {"messages": messages})
    assert events[-1] == ("lifecycle", (), {"event": "completed"})


def test_another_attempt_takes_back_what_the_first_left_open() -> None:
    parts = [BEGIN, chunk("Half"), BEGIN, chunk("Half an answer", chunk_position="last")]
    events = told([*parts, ("values", {})], attempts=[2])
    spoken = [d["event"] for m, _, d in shown(events) if m == "messages"]
    assert (spoken.count("error"), spoken.count("message-finish")) == (1, 1)
    seqs = [event.seq for event in events]
    assert seqs == sorted(seqs, key=lambda seq: seq or 0)
    assert len(set(seqs)) == len(seqs)


PARTS = st.lists(
    st.sampled_from(
        [
            chunk("a"),
            chunk("b", "messages|team:t1"),
            chunk("", chunk_position="last"),
            ("values", {"a": 1}),
            ASKS,
            ("updates", {"n": {}}),
            task("tasks|team:t1", "model", "t2"),
            task("tasks", "team", "t1", result=[]),
            ("custom", {"type": "reset", "message_id": "m1", "reason": "x"}),
            ("debug", {"type": "task"}),
            ("gap", {"after": "1-1", "before": "1-3"}),
        ]
    ),
    max_size=12,
)


@given(parts=PARTS)
def test_events_are_of_their_types_and_in_order_and_the_same_again(parts: list[Part]) -> None:
    events = told([BEGIN, *parts])
    shown(events)
    assert events == told([BEGIN, *parts])
    seqs = [event.seq or 0 for event in events]
    assert all(a < b for a, b in pairwise(seqs))
    assert {position_of(seq) for seq in seqs} == {7}
    assert len({event.place for event in events}) == len(events)
    # What is told of a beginning is told in the same words when more has come.
    cut = told([BEGIN, *parts[: len(parts) // 2]], final=None)
    assert events[: len(cut)] == cut


def test_a_run_says_what_it_was_started_to_answer() -> None:
    projection = Projection("r1", 7, answered=["i1", "i2"])
    events = shown(list(projection.take(Cursor(1, 1), "metadata", b"{}")))
    assert events == [
        ("lifecycle", (), {"event": "running"}),
        ("input.answered", (), {"interrupt_ids": ["i1", "i2"]}),
    ]


class LikeReact:
    """What LangGraph's JavaScript client makes of states and messages: a list of ids."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self._known: list[str] = []

    def take(self, method: str, data: Any) -> None:
        if method == "messages" and data["event"] == "message-start":
            self.shown.append(data["id"])
        elif method == "values":
            known = [message["id"] for message in data["messages"]]
            dropped = {*self._known, *known}
            self.shown = [*known, *(each for each in self.shown if each not in dropped)]
            self._known = known


HUMAN = {"type": "human", "id": "h1", "content": "Hello?"}
WHOLE = {"type": "ai", "id": "m2", "content": "Whole"}
ANSWER: Part = ("messages", [AIMessageChunk(content="Whole", id="m2", chunk_position="last"), {}])


@pytest.mark.parametrize("state", [True, False], ids=["a state before", "none"])
@pytest.mark.parametrize("how", ["reset", "attempt"])
def test_words_in_vain_leave_the_screen(how: str, state: bool) -> None:
    again: Part = ("custom", {"type": "reset", "message_id": "m1", "reason": "timeout"})
    if how == "attempt":
        again = BEGIN
    before: list[Part] = [("values", {"messages": [HUMAN]})] if state else []
    parts = [BEGIN, *before, chunk("Half"), again, ANSWER]
    parts.append(("values", {"messages": [HUMAN, WHOLE]}))
    screen = LikeReact()
    attempts = [len(before) + 2] if how == "attempt" else []
    for method, _, data in shown(told(parts, attempts=attempts)):
        screen.take(method, data)
        if method == "messages" and state and data.get("id") == "m2":
            assert screen.shown == ["h1", "m2"]
    assert screen.shown == ["h1", "m2"]


def test_half_an_answer_of_a_run_that_was_cancelled_leaves_the_screen() -> None:
    screen = LikeReact()
    parts: list[Part] = [BEGIN, ("values", {"messages": [HUMAN]}), ANSWER, chunk("Half")]
    for method, _, data in shown(told(parts, Final("interrupted"))):
        screen.take(method, data)
    assert screen.shown == ["h1", "m2"]


def test_each_of_very_many_events_of_one_part_has_its_number() -> None:
    calls = [{"name": "look", "args": {}, "id": f"c{n}", "type": "tool_call"} for n in range(40)]
    whole: Part = ("messages", [AIMessage(content="", id="m1", tool_calls=calls), {}])
    events = told([BEGIN, whole, ("values", {"a": 1}), ("values", {"a": 2})])
    seqs = [event.seq or 0 for event in events]
    assert len(events) > 80
    assert all(a < b for a, b in pairwise(seqs))


def test_numbers_are_exact_in_javascript() -> None:
    projection = Projection("r1", (1 << 30) - 1)
    (event,) = projection.take(Cursor(1, (1 << 19) - 1), "values", b"{}")
    assert event.seq is not None
    assert event.seq < 1 << 53
