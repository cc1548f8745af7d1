"""From the parts of a running graph to the events of a chat stream."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, RemoveMessage, ToolMessage
from langgraph.types import StreamMode

from everturn.server.resources.approvals import calls_in
from everturn.server.turns.engine import Part
from everturn.server.turns.outcome import Outcome

CHAT_MODES: tuple[StreamMode, ...] = ("messages", "updates", "custom")

ChatEvent = tuple[str, dict[str, Any]]


def events_of(part: Part) -> Iterator[ChatEvent]:
    """Name what a part means to a chat client; most parts mean nothing."""
    match part.mode:
        case "messages":
            yield from _words(part.data[0])
        case "updates":
            for update in part.data.values():
                if isinstance(update, dict):
                    yield from _tool_events(update.get("messages") or ())
        case "custom":
            yield from _route_events(part.data)


def ending_of(outcome: Outcome) -> Iterator[ChatEvent]:
    """Name how a turn ended: `done`, and before it what it waits for."""
    if calls := calls_in(outcome.interrupts):
        yield "approval", {"calls": [asdict(call) for call in calls]}
    yield "done", {**state_of(outcome), **summary(outcome)}


def state_of(outcome: Outcome) -> dict[str, Any]:
    """Whether a turn is finished, or what it waits for."""
    if outcome.interrupts:
        waiting = [{"id": i.id, "value": i.value} for i in outcome.interrupts]
        return {"status": "interrupted", "interrupts": waiting}
    return {"status": "completed"}


def summary(outcome: Outcome) -> dict[str, Any]:
    """What every answer says of itself, streamed or not."""
    route = outcome.route
    return {
        "model": route["model"],
        "usage": outcome.usage,
        "cost": outcome.cost,
        "route": route,
    }


def _words(message: BaseMessage) -> Iterator[ChatEvent]:
    if not isinstance(message, AIMessage):
        return
    if reasoning := message.additional_kwargs.get("reasoning_content"):
        yield "reasoning", {"content": reasoning, "message_id": message.id}
    if message.text:
        yield "message", {"content": message.text, "message_id": message.id}


def _tool_events(messages: Iterable[Any]) -> Iterator[ChatEvent]:
    messages = list(messages)
    if any(isinstance(message, RemoveMessage) for message in messages):
        messages = messages[-1:]  # the thread was rewritten: only its last message is news
    for message in messages:
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                yield (
                    "tool",
                    {
                        "id": call["id"],
                        "name": call["name"],
                        "args": call["args"],
                        "status": "started",
                    },
                )
        elif isinstance(message, ToolMessage):
            yield (
                "tool",
                {
                    "id": message.tool_call_id,
                    "name": message.name,
                    "status": message.status,
                    "result": message.text,
                    **_failure(message),
                },
            )


def _failure(message: ToolMessage) -> dict[str, Any]:
    """The class of failure, where one is known."""
    failure = message.additional_kwargs.get("failure")
    return {"failure": failure} if failure else {}


def _route_events(data: Any) -> Iterator[ChatEvent]:
    if isinstance(data, dict) and data.get("type") in {"fallback", "reset"}:
        yield data["type"], {key: value for key, value in data.items() if key != "type"}
