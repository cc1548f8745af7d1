"""What a node of a graph says of its calls, in what it returns.

Everturn's own nodes answer a failure instead of raising it; a user's graph may return anything.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.types import Command


def failed_model(outputs: Any) -> str | None:
    """Return the class of failure of the model that the node has asked last, if it failed."""
    for update in _updates(outputs):
        route = update.get("route")
        if isinstance(route, Mapping) and route.get("failed") and route.get("tried"):
            return str(route["tried"][-1]["failure"])
    return None


def failed_tools(outputs: Any) -> dict[str, str]:
    """Return the classes of failure of tool calls, by the ids of the calls."""
    return {
        message.tool_call_id: str(message.additional_kwargs.get("failure", "tool_error"))
        for update in _updates(outputs)
        for message in _messages(update)
        if isinstance(message, ToolMessage) and message.status == "error"
    }


def _updates(outputs: Any) -> Iterator[Mapping[str, Any]]:
    for each in outputs if isinstance(outputs, list | tuple) else [outputs]:
        update = each.update if isinstance(each, Command) else each
        if isinstance(update, Mapping):
            yield update


def _messages(update: Mapping[str, Any]) -> list[Any]:
    found = update.get("messages")
    return found if isinstance(found, list) else [found]
