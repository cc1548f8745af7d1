"""Keeping the record of a run: what failed, what it cost, and what an answer keeps of it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import cast

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    RemoveMessage,
    ToolMessage,
)
from langgraph.config import get_config

from everturn.graph.models.advice import explained
from everturn.graph.models.answer import Answer
from everturn.graph.models.failures import Failure
from everturn.graph.state import Answered, Attempt, ModelCall, Route, Usage

CALLS = "calls"
"""Key of a tool answer's `response_metadata`: the calls of models that it took."""

SPEAKER = "lc_agent_name"
"""Key of a run's metadata, as LangChain's agents have it: who speaks where several do."""

_PUBLIC = Answered.__required_keys__ | Answered.__optional_keys__


def failed(
    route: Route,
    failure: Failure,
    *,
    model: str | None = None,
    seconds: float | None = None,
    received: Answer | None = None,
) -> Route:
    """Add an attempt that failed; `received` is what came before the failure."""
    attempt = Attempt(model=model or route["model"], failure=failure.kind, message=failure.message)
    if seconds is not None:
        attempt["seconds"] = round(seconds, 3)
    usage = usage_of(received) if received else None
    cost = received.cost if received else None
    if usage is not None:
        attempt["usage"] = usage
    if cost is not None:
        attempt["cost"] = cost
    tried = [*route["tried"], attempt]
    route = {**route, "tried": tried, "failed": True, "explained": explained(failure)}
    return _spent(route, usage, cost)


def answered(route: Route, answer: AIMessage) -> Route:
    """Add a call that was answered; earlier failures no longer matter to what comes next."""
    found = answer.usage_metadata
    usage = found and Usage(
        input_tokens=found["input_tokens"],
        output_tokens=found["output_tokens"],
        total_tokens=found["total_tokens"],
    )
    route = _spent(route, usage or None, answer.response_metadata.get("cost"))
    return {**route, "since": len(route["tried"]), "failed": False}


def public(route: Route) -> Answered:
    """Leave out what only matters while the run goes on."""
    return cast("Answered", {key: value for key, value in route.items() if key in _PUBLIC})


def sign(answer: AIMessage, route: Route) -> None:
    """Write into the answer what must outlast the run: its route, the time, and who speaks."""
    answer.name = get_config().get("metadata", {}).get(SPEAKER) or answer.name
    answer.response_metadata["route"] = public(route)
    answer.additional_kwargs["timestamp"] = datetime.now(UTC).isoformat()


def resumed(route: Route, messages: Sequence[AnyMessage]) -> Route | None:
    """Return the route of a run that was interrupted in its tools; `None` at the start of a turn.

    The route is not checkpointed; the message that called the tools carries a copy of it.
    """
    since: list[ModelCall] = []
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        if isinstance(message, ToolMessage):
            since += calls_of(message)
        said = message.response_metadata.get("route") if isinstance(message, AIMessage) else None
        if said and said["mode"] != "cache":  # a kept answer was given before any model was chosen
            before = cast("Route", {**route, **said, "since": len(said["tried"])})
            return with_calls(before, since)
    return None


def calls_of(message: ToolMessage) -> list[ModelCall]:
    """Return the calls of models that a tool's answer took: of a plan's steps, of a specialist."""
    found: list[ModelCall] = message.response_metadata.get(CALLS, [])
    return found


def with_calls(route: Route, calls: Iterable[ModelCall]) -> Route:
    """Add what calls inside of the run took to what the run has taken."""
    for call in calls:
        route = _spent(route, call.get("usage"), call.get("cost"))
    return route


def taken_back(messages: Sequence[AnyMessage]) -> list[RemoveMessage]:
    """Take a question that gets no answer out of the thread again.

    A client that gets the error asks again, and the thread would hold the question twice; one that
    no model takes would spoil every later turn. A question may be several messages, for instance a
    picture and then the words. Once tools have been called for it, it stays, with their results.
    """
    asked = takewhile(lambda message: isinstance(message, HumanMessage), reversed(messages))
    return [RemoveMessage(id=message.id) for message in asked if message.id]


def _spent(route: Route, usage: Usage | None, cost: float | None) -> Route:
    route = route.copy()
    if usage is not None:
        before = route.get("usage") or Usage(input_tokens=0, output_tokens=0, total_tokens=0)
        total = {key: before[key] + usage[key] for key in Usage.__required_keys__}  # type: ignore[literal-required]
        route["usage"] = cast("Usage", total)
    if cost is not None:
        route["cost"] = route.get("cost", 0.0) + cost
    return route


def usage_of(received: Answer) -> Usage | None:
    """Return the tokens that a provider counted; `None` where it said nothing."""
    found = received.usage
    if not found:
        return None
    asked, said = found.get("prompt_tokens") or 0, found.get("completion_tokens") or 0
    return Usage(
        input_tokens=asked,
        output_tokens=said,
        total_tokens=found.get("total_tokens") or asked + said,
    )
