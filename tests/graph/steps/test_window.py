"""What the model sees of a thread, and how a broken thread is mended."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from everturn.graph.context import Context
from everturn.graph.state import State, Summary
from everturn.graph.steps.attempt import prompt_of
from everturn.graph.steps.tokens import reckoned, tokens_of
from everturn.graph.steps.window import mend, start_of_window, tool_rounds, window
from everturn.graph.summaries.block import next_block


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


sized = turns.flatmap(
    lambda messages: st.lists(
        st.sampled_from(["", "word " * 50, "낱말 " * 300]),
        min_size=len(messages),
        max_size=len(messages),
    ).map(
        lambda texts: [
            _with_id(m, i, t) for i, (m, t) in enumerate(zip(messages, texts, strict=True))
        ]
    )
)


def _with_id(message: AnyMessage, number: int, more: str) -> AnyMessage:
    return message.model_copy(update={"id": str(number), "content": f"{message.content}{more}"})


@given(sized, st.integers(1, 30), st.integers(0, 3000))
def test_a_window_has_room_and_stays_whole(
    messages: list[AnyMessage], size: int, room: int
) -> None:
    seen = window(messages, size, room)
    assert messages[len(messages) - len(seen) :] == seen
    users = [i for i, m in enumerate(messages) if isinstance(m, HumanMessage)]
    is_turn = len(seen) == len(messages) - users[-1]
    assert is_turn or sum(map(tokens_of, seen)) <= room
    assert isinstance(seen[0], HumanMessage)
    assert len(seen) <= len(window(messages, size))
    assert mend(seen) is None


@given(
    sized,
    st.integers(1, 30),
    st.integers(300, 6000),
    st.integers(0, 40),
    st.text(max_size=4000),
)
def test_summary_and_window_always_fit(
    messages: list[AnyMessage], size: int, room: int, covered: int, text: str
) -> None:
    covered = min(covered, len(messages) - 1)
    through = str(messages[covered - 1].id) if covered else ""
    summary = Summary(text=text, through=through, messages=covered, tokens=reckoned(text))
    state = State(messages=messages, summary=summary)  # type: ignore[typeddict-item]
    context = Context(window=size, system_prompt="")
    system, *shown = prompt_of(state, context, room=room).messages
    users = [i for i, m in enumerate(messages) if isinstance(m, HumanMessage)]
    turn = messages[users[-1] :]
    notes = tokens_of(system)
    assert notes <= room // 4 or not notes
    assert list(shown) == turn or notes + sum(map(tokens_of, shown)) <= room
    assert shown[-len(turn) :] == turn
    assert mend(shown) is None  # type: ignore[arg-type]


@given(sized, st.integers(1, 30), st.integers(0, 40))
def test_what_is_summed_up_next_is_whole_turns_and_not_the_current_one(
    messages: list[AnyMessage], size: int, covered: int
) -> None:
    start = start_of_window(messages, size)
    end = next_block(messages, covered, size, start)
    if end is not None:
        assert covered < end < len(messages)
        assert isinstance(messages[end], HumanMessage)
    elif covered == 0 and len(messages) > 80:
        raise AssertionError("a thread so long has something to be summed up")


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
