"""A chunk that holds only words is made without LangChain's conversion, and is the same."""

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from pydantic import SecretStr

from everturn.graph.models.openai_chat import OpenAIChat
from everturn.graph.models.reader import Chunk, Reader

CALL = {"index": 0, "id": "a", "function": {"name": "add", "arguments": "{}"}}
USAGE = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}


def _chunks(*deltas: dict[str, Any], **more: Any) -> list[Chunk]:
    reader = Reader()
    raw = [{"model": "m", "choices": [{"delta": delta}], **more} for delta in deltas]
    read = [chunk for each in raw if (chunk := reader.read(each))]
    reader.ended = True
    return [*read, *reader.close()]


@pytest.mark.parametrize("output_version", [None, "v1"])
@pytest.mark.parametrize(
    "chunks",
    [
        _chunks({"role": "assistant", "content": "Hello"}, {"content": " you"}),
        _chunks({"content": "Hello"}, {"tool_calls": [CALL]}),
        _chunks({"content": "Hello"}, usage=USAGE),
        _chunks({"content": "Hello"}, service_tier="flex", system_fingerprint="f"),
        _chunks({"content": ""}),
    ],
)
def test_a_chunk_is_what_langchain_makes_of_it(
    chunks: list[Chunk], output_version: str | None
) -> None:
    model = OpenAIChat(
        model="m",
        base_url="http://127.0.0.1:1/v1",
        api_key=SecretStr("k"),
        output_version=output_version,
    )
    for chunk in chunks:
        expected = model._convert_chunk_to_generation_chunk(chunk, AIMessageChunk, None)
        assert model._generation(chunk) == expected


def test_reasoning_stands_beside_the_words() -> None:
    model = OpenAIChat(model="m", base_url="http://127.0.0.1:1/v1", api_key=SecretStr("k"))
    thought, *_ = _chunks({"reasoning": "Hm.", "content": "Yes"})
    generation = model._generation(thought)
    assert generation is not None
    assert generation.message.content == "Yes"
    assert generation.message.additional_kwargs == {"reasoning_content": "Hm."}
