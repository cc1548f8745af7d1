"""What makes two questions the same: who asks which graph, all that a model is shown, and how."""

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from everturn.graph.context import Context
from everturn.graph.models.answer import PROVIDER_FIELDS

_BESIDE = {
    *("cache", "stream_policy", "stream_usage", "offline_answer"),  # change no answer
    *("system_prompt", "tools", "window", "max_tool_rounds"),  # the prompt and the tools say it
}
"""Choices that are not asked of a model. All others count, those that there may be one day, too."""


def caller_name(identity: str | None) -> str:
    """Name the owner of a caller's answers; all who need not sign in are one."""
    return "nobody signs in" if identity is None else f"caller {identity}"


def owner_part(owner: str) -> str:
    """Return what the keys of an owner's answers begin with."""
    return f"{blake2b(owner.encode(errors='replace'), digest_size=16).hexdigest()}:"


def key_of(
    owner: str,
    place: Sequence[str],
    messages: Sequence[BaseMessage],
    schemas: Sequence[dict[str, Any]] | None,
    context: Context,
) -> str | None:
    """Name a question; `None` where it cannot be written as JSON.

    Args:
        owner: who asks; nobody else is given the answer.
        place: the graph, the provider's account and its chain of models.
        messages: what a model would be shown.
        schemas: the tools it may call; none: it may not call any.
        context: the caller's choices.
    """
    chosen = context.model_dump(exclude=_BESIDE)
    numbers = _Numbers()
    try:
        asked = [[*place], [_asked(each, numbers) for each in messages], schemas, chosen]
        canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return None
    digest = blake2b(canonical.encode(), digest_size=32).hexdigest()
    return f"{owner_part(owner)}{digest}"


class _Numbers(dict[str | None, int]):
    """Ids of tool calls by their order: they are opaque, and differ from turn to turn."""

    def __missing__(self, call_id: str | None) -> int:
        self[call_id] = len(self)
        return self[call_id]


def _asked(message: BaseMessage, numbers: _Numbers) -> list[Any]:
    """All of a message that a provider is sent."""
    said: list[Any] = [message.type, message.name, message.content]
    if isinstance(message, AIMessage):
        calls = [*message.tool_calls, *message.invalid_tool_calls]
        said.append([[call["name"], call["args"], numbers[call["id"]]] for call in calls])
        returned = message.additional_kwargs.get(PROVIDER_FIELDS)
        said.append(returned and returned.get("message"))
    if isinstance(message, ToolMessage):
        said += [numbers[message.tool_call_id], message.status]
    return said
