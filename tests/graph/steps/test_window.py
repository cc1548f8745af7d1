"""What the model sees of a thread, and how a broken thread is mended."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from everturn.graph.steps.window import mend, tool_rounds, window


def _call(*ids: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "t", "args": {}, "id": i} for i in ids])


def _answer(i: str) -> ToolMessage:
    return ToolMessage("done", tool_call_id=i)


def _turn(number: int, tools: int) -> list[AnyMessage]:
    ids = [f"{number}-{i}" for i in range(tools)]
    called: list[AnyMessage] = [_call(*ids), *map(_answer, ids)] if ids else []
    return [HumanMessage(f"q{number}"), *called, AIMessage(f"a{number}")]


turns = st.lists(st.integers(0, 4), min_size=1, max_size=12).map(
    lambda tools: [m for number, n in enumerate(tools) for m in _turn(number, n)]
)


@given(turns, st.integers(1, 30))
def test_a_window_is_the_newest_part_and_whole(messages: list[AnyMessage], size: int) -> None:
    seen = window(messages, size)
    assert messages[len(messages) - len(seen) :] == seen
    assert isinstance(seen[0], HumanMessage)
    users = [i for i, m in enumerate(messages) if isinstance(m, HumanMessage)]
    assert len(seen) <= max(size, len(messages) - users[-1])
    assert mend(seen) is None


def test_a_window_takes_all_it_may() -> None:
    messages = [m for number in range(5) for m in _turn(number, 0)]
    assert window(messages, 4) == messages[-4:]
    assert window(messages, 5) == messages[-4:]
    assert window(messages, 10) == messages


@given(turns, st.data())
def test_a_mended_thread_answers_every_call_at_once(messages: list[AnyMessage], data: Any) -> None:
    kept = [
        m for m in messages if not isinstance(m, ToolMessage) or data.draw(st.booleans(), "keep")
    ]
    mended = mend(kept) or kept
    assert [m for m in mended if m in kept] == kept
    for i, message in enumerate(mended):
        if isinstance(message, AIMessage) and message.tool_calls:
            answers = mended[i + 1 : i + 1 + len(message.tool_calls)]
            assert {m.tool_call_id for m in answers if isinstance(m, ToolMessage)} == {
                call["id"] for call in message.tool_calls
            }
    assert mend(mended) is None


def test_an_id_used_again_by_a_later_turn_is_not_taken_for_answered() -> None:
    messages: list[AnyMessage] = [
        HumanMessage("a"),
        _call("0"),
        _answer("0"),
        HumanMessage("b"),
        _call("0"),
    ]
    mended = mend(messages)
    assert mended is not None
    assert isinstance(mended[-1], ToolMessage)
    assert mended[-1].status == "error"


def test_tool_rounds_are_those_since_the_user_spoke() -> None:
    messages = [*_turn(0, 2), HumanMessage("q"), _call("x"), _answer("x"), _call("y")]
    assert tool_rounds(messages) == 2
    assert tool_rounds(_turn(0, 2)[:1]) == 0
