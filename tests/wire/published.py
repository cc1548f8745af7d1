"""Requests against the types that OpenAI's own client publishes for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

_REQUEST = TypeAdapter[Any](CompletionCreateParamsStreaming)


def check(body: Mapping[str, Any]) -> None:
    """Raise ValidationError where a request is not of the published type.

    Fields beside the published ones pass here: which of them a provider takes, its profile knows.
    So do the blocks of an answer that a provider gave and wants back.
    """
    messages = [_without_thoughts(message) for message in body["messages"]]
    _read_out(_REQUEST.validate_python({**body, "messages": messages}))


def _without_thoughts(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if message["role"] != "assistant" or not isinstance(content, list):
        return message
    return {
        **message,
        "content": [b for b in content if b["type"] not in {"thinking", "reasoning"}],
    }


def _read_out(value: Any) -> None:
    # What is declared as an iterable is checked item by item, only as it is read.
    if isinstance(value, str | bytes | int | float | None):
        return
    for each in value.values() if isinstance(value, Mapping) else value:
        _read_out(each)
