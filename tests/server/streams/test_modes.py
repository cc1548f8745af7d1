"""What a graph streams, under the names of LangGraph's clients."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from everturn.server.streams.modes import Parts
from everturn.server.turns.turn import Part


def chunks(text: str, size: int, *, of_a_call: bool) -> list[BaseMessage]:
    """A streamed message that says a text, or calls a tool with it."""
    made: list[BaseMessage] = []
    for at in range(0, len(text), size):
        piece = text[at : at + size]
        if of_a_call:
            call = {"id": "c" if not at else None, "name": "note" if not at else None}
            calls: list[Any] = [{**call, "args": piece, "index": 0}]
            made.append(AIMessageChunk(content="", id="m", tool_call_chunks=calls))
        else:
            made.append(AIMessageChunk(content=piece, id="m"))
    return [*made, AIMessageChunk(content="", id="m", chunk_position="last")]


def partials(messages: list[BaseMessage]) -> list[AIMessage]:
    parts = Parts(["messages"])
    named = [each for m in messages for each in parts.named(Part("messages", (m, {})))]
    return [data[0] for name, data in named if name == "messages/partial"]


def test_each_chunk_of_a_short_message_is_shown() -> None:
    shown = [each.content for each in partials(chunks("one two", 4, of_a_call=False))]
    assert shown == ["one ", "one two", "one two"]


@pytest.mark.parametrize("of_a_call", [False, True])
def test_a_long_message_is_not_read_and_sent_again_with_each_chunk(of_a_call: bool) -> None:
    """It would take the square of its length: 40 s for arguments of 262,144 characters."""
    text = json.dumps({"text": "y z " * 10_000})
    shown = partials(chunks(text, 64, of_a_call=of_a_call))
    last = shown[-1]
    assert (last.tool_calls[0]["args"] if of_a_call else last.content) == (
        json.loads(text) if of_a_call else text
    )
    assert len(shown) < 200  # of 627 chunks
