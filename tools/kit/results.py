"""Answers to tool calls, as models read them: results within bounds, failures in safe words."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast, get_args

from langchain_core.messages import InvalidToolCall, ToolCall, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from everturn.tools.kit.values import plain

Failure = Literal[
    "unknown_tool",  # there is no tool of this name, or it was not offered
    "malformed_call",  # the arguments are none that any tool could be called with
    "wrong_arguments",  # they are not what the tool takes
    "refused",  # a person did not approve
    "timeout",  # it took longer than it may
    "stuck",  # earlier calls have not come to an end, so it is not called
    "tool_error",  # the tool says what is wrong
    "internal",  # a bug in the tool
]
FAILURES: tuple[Failure, ...] = get_args(Failure)

_MAX_MEDIA = 8_000_000
"""Characters of what is no text, such as an image."""
_SERIALIZER = JsonPlusSerializer()
"""LangGraph's own, by which values are stored unless a graph brings another."""


def failed(call: ToolCall | InvalidToolCall, failure: Failure, text: str) -> ToolMessage:
    """Answer a call that brought nothing; the class of failure stands before the text."""
    return ToolMessage(
        f"{failure}: {text}",
        tool_call_id=call["id"] or "",
        name=call["name"],
        status="error",
        additional_kwargs={"failure": failure},
    )


def named(errors: Iterable[Mapping[str, Any]] | None) -> str:
    """Put what pydantic finds wrong with arguments in words, without the arguments."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg']}" for each in errors or ()
    )


def classed(message: ToolMessage) -> ToolMessage:
    """Give an error that a tool has put in words by itself its class, as `failed` does."""
    if message.status == "error" and "failure" not in message.additional_kwargs:
        message.additional_kwargs["failure"] = "tool_error"
        if isinstance(message.content, str):
            message.content = f"tool_error: {message.content}"
    return message


def failure_of(message: ToolMessage) -> Failure | None:
    """Return the class of failure; `None` for a result."""
    if message.status != "error":
        return None
    found = message.additional_kwargs.get("failure")
    return cast("Failure", found) if found in FAILURES else "tool_error"


def bound(message: ToolMessage, limit: int) -> ToolMessage:
    """Cut the text of a result to `limit` characters, with a notice; every place takes the rest.

    An artifact, which no model reads but which is stored with the thread, is left out if it is
    larger than media may be, or cannot be stored.
    """
    kwargs = message.additional_kwargs.items()
    message.additional_kwargs = {name: _storable(value) for name, value in kwargs}
    message.artifact = _storable(message.artifact)
    if isinstance(message.content, str):
        message.content = _cut(message.content, limit)
        return message
    blocks: list[str | dict[Any, Any]] = []
    texts, media, left_out = 0, 0, False
    for block in plain(message.content):
        text = block if isinstance(block, str) else block.get("text")
        if isinstance(text, str):
            if texts < limit:
                cut = _cut(text, limit - texts)
                blocks.append(cut if isinstance(block, str) else {**block, "text": cut})
            texts += len(text)
        elif (media := media + len(str(block))) <= _MAX_MEDIA and _storable(block):
            blocks.append(block)
        else:
            left_out = True
    if texts > limit or left_out:
        blocks.append({"type": "text", "text": "[Cut: the result is more than is shown.]"})
    message.content = blocks
    return message


def _storable(value: Any) -> Any:
    """Return a value in a form that checkpoints can hold; `None` for one that is none or huge."""
    found = plain(value)
    try:
        _, body = _SERIALIZER.dumps_typed(found)
    except Exception:  # whatever the value's own code raises
        return None
    return found if len(body) <= _MAX_MEDIA else None


def _cut(text: str, limit: int) -> str:
    cut: str = plain(text[:limit])
    if len(text) <= limit:
        return cut
    return f"{cut}\n[Cut: {limit} of {len(text)} characters are shown.]"
