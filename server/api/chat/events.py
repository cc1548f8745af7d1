"""From the events of a run to those of a chat stream: a pure function, so any process can do it.

docs/api.md lists the chat's events; `answers` completes `metadata` and `error`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import orjson
from langgraph.types import Interrupt

from everturn.server.resources.approvals import calls_in
from everturn.server.streams.feed import GAP, Event
from everturn.server.streams.modes import SUMMARY

_CUSTOM = ("fallback", "retry", "reset", "memories", "plan", "step")
"""What nodes emit themselves: of the router, of memory, and of a plan that is carried out."""

ChatEvent = tuple[str, dict[str, Any]]


def events_of(event: Event) -> Iterator[ChatEvent]:
    """Name what an event of a run means to a chat client; many mean nothing.

    An `error` is passed on as it is: the door knows which problem it is.
    """
    match event.name:
        case "messages":
            yield from _words(orjson.loads(event.data)[0])
        case "updates":
            # Not orjson: it makes floats of integers beyond 64 bits, which a tool may be given.
            for update in json.loads(event.data).values():
                if isinstance(update, dict):
                    yield from _tool_events(_messages(update.get("messages")))
        case "custom":
            yield from _custom_events(orjson.loads(event.data))
        case _ if event.name == SUMMARY:
            yield from ending(json.loads(event.data))
        case "error" | "metadata":
            yield event.name, orjson.loads(event.data)
        case _ if event.name == GAP:
            yield event.name, orjson.loads(event.data)


def ending(summary: dict[str, Any]) -> Iterator[ChatEvent]:
    """`done`, and before it what the turn waits for."""
    interrupts = summary.get("interrupts", ())
    asked = [Interrupt(value=each["value"], id=each["id"]) for each in interrupts]
    if calls := calls_in(asked):
        yield "approval", {"calls": [asdict(call) for call in calls]}
    yield "done", summary


def _words(message: Mapping[str, Any]) -> Iterator[ChatEvent]:
    if not _is_answer(message):
        return
    if reasoning := _more(message).get("reasoning_content"):
        yield "reasoning", {"content": reasoning, "message_id": message.get("id")}
    if text := _text(message):
        yield "message", {"content": text, "message_id": message.get("id")}


def _tool_events(messages: list[dict[str, Any]]) -> Iterator[ChatEvent]:
    if any(message.get("type") == "remove" for message in messages):
        messages = messages[-1:]  # the thread was rewritten: only its last message is news
    for message in messages:
        if _is_answer(message):
            for call in _objects(message.get("tool_calls")):
                started = {name: call.get(name) for name in ("id", "name", "args")}
                yield "tool", {**started, "status": "started"}
        elif message.get("type") == "tool":
            more = _more(message)
            yield (
                "tool",
                {
                    "id": message.get("tool_call_id"),
                    "name": message.get("name"),
                    "status": message.get("status"),
                    "result": _text(message),
                    **{name: more[name] for name in ("failure", "attempt") if more.get(name)},
                },
            )


def _custom_events(data: Any) -> Iterator[ChatEvent]:
    if isinstance(data, dict) and data.get("type") in _CUSTOM:
        yield data["type"], {key: value for key, value in data.items() if key != "type"}


def _messages(update: Any) -> list[dict[str, Any]]:
    """A node's messages; it may have returned one, several or what are none."""
    several: Iterable[Any] = update if isinstance(update, list) else [update]
    return [m for m in several if isinstance(m, dict) and isinstance(m.get("type"), str)]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _more(message: Mapping[str, Any]) -> dict[str, Any]:
    more = message.get("additional_kwargs")
    return more if isinstance(more, dict) else {}


def _is_answer(message: Mapping[str, Any]) -> bool:
    return message.get("type") in {"ai", "AIMessageChunk"}


def _text(message: Mapping[str, Any]) -> str:
    """The text of a message's content, which is a text or a list of blocks."""
    content = message.get("content")
    if not isinstance(content, list):
        return str(content or "")
    blocks = (block if isinstance(block, str) else _block_text(block) for block in content)
    return "".join(blocks)


def _block_text(block: Any) -> str:
    is_text = isinstance(block, dict) and block.get("type") == "text"
    return str(block.get("text") or "") if is_text else ""
