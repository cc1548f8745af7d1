"""Messages of the event protocol: blocks begin, grow and end, whatever way a model speaks."""

from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolCallChunk,
    ToolMessage,
)

from everturn.server.api.http.json import dumps
from everturn.server.streams.message_events import Messages


def told(*messages: BaseMessage, by: Messages | None = None) -> list[dict[str, Any]]:
    by = by or Messages()
    return [
        event
        for message in messages
        for event in by.take(orjson.loads(dumps(message)), {"langgraph_node": "model"})
    ]


def words(*texts: str, last: bool = True, **more: Any) -> Iterable[AIMessageChunk]:
    for text in texts:
        yield AIMessageChunk(content=text, id="m1", **more)
    if last:
        yield AIMessageChunk(content="", id="m1", chunk_position="last")


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def test_words_come_one_by_one() -> None:
    events = told(*words("Seven ", "times three"))
    assert names(events) == [
        "message-start",
        "content-block-start",
        "content-block-delta",
        "content-block-delta",
        "content-block-finish",
        "message-finish",
    ]
    assert events[0] == {
        "event": "message-start",
        "id": "m1",
        "role": "ai",
        "metadata": {"langgraph_node": "model"},
    }
    assert events[1]["content"] == {"type": "text", "text": ""}
    assert [e["delta"]["text"] for e in events[2:4]] == ["Seven ", "times three"]
    assert events[4]["content"] == {"type": "text", "text": "Seven times three"}
    assert {e["message_id"] for e in events[1:]} == {"m1"}


def test_what_a_model_thinks_is_a_block_of_its_own() -> None:
    thought = AIMessageChunk(
        content="", id="m1", additional_kwargs={"reasoning_content": "Let me see"}
    )
    events = told(thought, *words("21"))
    finished = [e["content"] for e in events if e["event"] == "content-block-finish"]
    assert finished == [
        {"type": "reasoning", "reasoning": "Let me see"},
        {"type": "text", "text": "21"},
    ]
    # It ends before the answer begins.
    order = [(e["event"], e["index"]) for e in events if "index" in e]
    assert order.index(("content-block-finish", 0)) < order.index(("content-block-start", 1))


def test_tool_calls_side_by_side_keep_their_arguments_apart() -> None:
    def piece(index: int, args: str, name: str | None = None) -> AIMessageChunk:
        call = ToolCallChunk(name=name, args=args, id=name and f"c{index}", index=index)
        return AIMessageChunk(content="", id="m1", tool_call_chunks=[call])

    events = told(
        piece(0, '{"a"', "add"),
        piece(1, "{", "sub"),
        piece(0, ": 1}"),
        piece(1, "nonsense"),
        *words(),
    )
    finished = [e["content"] for e in events if e["event"] == "content-block-finish"]
    assert finished[0] == {"type": "tool_call", "id": "c0", "name": "add", "args": {"a": 1}}
    assert finished[1]["type"] == "invalid_tool_call"
    assert finished[1]["args"] == "{nonsense"
    deltas = [(e["index"], e["delta"]["args"]) for e in events if "delta" in e]
    assert deltas == [(0, '{"a"'), (1, "{"), (0, ": 1}"), (1, "nonsense")]


def test_tokens_told_in_pieces_are_added_up() -> None:
    usage = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
    events = told(*words("a", "b", usage_metadata=usage))
    assert events[-1]["usage"] == {"input_tokens": 6, "output_tokens": 2, "total_tokens": 8}


@pytest.mark.parametrize("role", ["ai", "human"])
def test_a_whole_message_is_told_once(role: str) -> None:
    whole = (
        AIMessage(content="Hello", id="m1")
        if role == "ai"
        else HumanMessage(content="Hello", id="m1")
    )
    events = told(whole, whole)
    assert names(events).count("message-start") == 1
    assert events[0]["role"] == role
    assert events[-2]["content"] == {"type": "text", "text": "Hello"}


def test_a_message_that_was_streamed_is_not_told_again_when_it_is_whole() -> None:
    events = told(*words("Hello"), AIMessage(content="Hello", id="m1"))
    assert names(events).count("message-start") == 1


def test_a_picture_is_a_block_that_does_not_grow() -> None:
    picture = {"type": "image", "url": "https://example.org/cat.png"}
    events = told(AIMessage(content=[{"type": "text", "text": "A cat"}, picture], id="m1"))
    assert [e["content"]["type"] for e in events if e["event"] == "content-block-finish"] == [
        "text",
        "image",
    ]


def test_words_that_are_taken_back_end_in_an_error() -> None:
    messages = Messages()
    told(*words("Half an", last=False), by=messages)
    (back,) = messages.take_back("m1", "timeout")
    assert (back["event"], back["message_id"]) == ("error", "m1")
    assert list(messages.finish()) == []
    assert list(messages.take_back("unknown", "timeout")) == []


def test_a_message_that_is_left_in_the_middle_ends_with_the_next() -> None:
    events = told(*words("Half an", last=False), AIMessageChunk(content="Whole", id="m2"))
    assert names(events).count("message-finish") == 1


def test_steps_that_run_side_by_side_do_not_interrupt_each_other() -> None:
    messages = Messages()
    found: list[dict[str, Any]] = []
    for word in ("one ", "two ", "three"):
        for name in ("writer", "critic"):
            chunk = orjson.loads(dumps(AIMessageChunk(content=word, id=name)))
            found += messages.take(chunk, {"langgraph_checkpoint_ns": f"{name}:7"})
    found += messages.finish()
    ended = [event for event in found if event["event"] == "content-block-finish"]
    assert names(found).count("message-start") == 2
    assert [event["content"]["text"] for event in ended] == ["one two three"] * 2


def test_models_that_one_step_asks_side_by_side_are_told_apart_from_then_on() -> None:
    messages = Messages()
    found: list[dict[str, Any]] = []
    for word in ("one ", "two ", "three ", "four"):
        for name in ("a", "b"):
            chunk = orjson.loads(dumps(AIMessageChunk(content=word, id=name)))
            found += messages.take(chunk, {"langgraph_checkpoint_ns": "step:7"})
    found += messages.finish()
    ended = [event for event in found if event["event"] == "content-block-finish"]
    assert names(found).count("message-start") == 3
    assert [event["content"]["text"] for event in ended[-2:]] == [
        "one two three four",
        "two three four",
    ]


def test_results_of_tools_are_no_messages() -> None:
    assert told(ToolMessage(content="21", tool_call_id="c1", id="t1")) == []
