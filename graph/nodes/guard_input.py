"""The node `guard_input`: what a turn brings is screened before a model sees it."""

from datetime import UTC, datetime
from typing import Any, Literal

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.runtime import Runtime

from everturn.graph.context import Context
from everturn.graph.guards.messages import blocked_by, screened
from everturn.graph.guards.verdict import Noted, refusal
from everturn.graph.models.content import start_of_turn
from everturn.graph.services import current_guards
from everturn.graph.state import State


async def guard_input(state: State, *, runtime: Runtime[Context]) -> dict[str, Any]:
    """Screen what has come since the last answer; refuse where the user's words are blocked.

    What is blocked does not stay in the thread either: the next turn's model would read it. With a
    server most is screened before, so that the checkpoint of the input does not have it; what
    comes in as an update of the state, or without that server, is screened here.
    """
    guards = await current_guards()
    if guards is None:
        return {}
    messages = state["messages"]
    new = messages[_start_of_new(messages) :]
    now = [await screened(message, guards) for message in new]
    changed: list[AnyMessage] = [m for m, before in zip(now, new, strict=True) if m is not before]
    if guard := blocked_by(now[start_of_turn(now) :], guards):
        changed.append(_refused(guard))
    return {"messages": changed} if changed else {}


def after_guard_input(state: State) -> Literal["go on", "refused"]:
    """A turn that is refused has its answer."""
    last = next(reversed(state["messages"]), None)
    return "refused" if isinstance(last, AIMessage) and _is_refusal(last) else "go on"


def _start_of_new(messages: list[AnyMessage]) -> int:
    """Return where what came since the last answer of ours begins."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if isinstance(message, AIMessage) and "finish_reason" in message.response_metadata:
            return at + 1
    return 0


def _refused(guard: str) -> AIMessage:
    note = Noted(guard, "block")
    about = {"finish_reason": "content_filter", "guards": [note.to_json()]}
    now = datetime.now(UTC).isoformat()
    return AIMessage(refusal(guard), response_metadata=about, additional_kwargs={"timestamp": now})


def _is_refusal(answer: AIMessage) -> bool:
    return answer.response_metadata.get("finish_reason") == "content_filter"
