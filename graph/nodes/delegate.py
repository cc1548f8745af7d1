"""The node `delegate`: hands the supervisor's calls to specialists, within what a turn may take."""

import asyncio
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessage, InvalidToolCall, ToolCall, ToolMessage
from langgraph.config import get_config
from langgraph.runtime import Runtime
from langgraph.types import Send

from everturn.graph.context import Context, TeamContext, context_as
from everturn.graph.services import (
    current_budget,
    current_models,
    current_toolbox,
    current_turn_timeout,
    place_of,
)
from everturn.graph.state import ModelCall
from everturn.graph.steps.approval import Approved, approved
from everturn.graph.steps.route import calls_of, with_calls
from everturn.graph.steps.team import Left, left, offered_own_tools, offered_team
from everturn.graph.steps.window import calls_of_turn, calls_tools, open_calls
from everturn.graph.team_state import Task, TeamState
from everturn.tools.kit.arguments import flaws
from everturn.tools.kit.results import failed
from everturn.tools.kit.toolbox import Offer

_SHARE = 0.8
"""Of the time that the turn has left; the rest is for the answer."""
_MAX_FLAW = 500
"""Characters."""


async def delegate(state: TeamState, *, runtime: Runtime[Context]) -> dict[str, Any]:
    """Say who is asked now. Calls that bring nothing are answered; those of tools are left alone.

    When the specialists have answered, the node is visited again, and counts what they took.
    """
    context, messages = context_as(runtime, TeamContext), state["messages"]
    update: dict[str, Any] = {"asked": [], "messages": []}
    waiting = {call["id"] or "" for call in open_calls(messages)}
    asked = next(
        each for each in reversed(messages) if isinstance(each, AIMessage) and calls_tools(each)
    )
    if _have_answered(state, asked):
        if route := state.get("route"):
            update["route"] = with_calls(route, _taken(state))
        return update
    if budget := current_budget():
        budget.check_tools(calls_of_turn(messages), place_of(get_config()))
    offer, own = await offered_team(state, context), await offered_own_tools(state, context)
    # What the `tools` node calls, it has approved itself.
    team = Offer(tuple(t for t in offer.tools if t.name not in own.by_name), offer.execution)
    seen = approved(asked, waiting, await current_toolbox(), team)
    calls, answers = _sorted(seen, waiting, team, own)
    rest = left(messages, context)
    at_once = 0 if rest.refusal else rest.calls
    for call in calls[at_once:]:
        text = f"{rest.refusal or left_over(at_once)}. Answer from what there is."
        answers.append(failed(call, "refused", text))
    if calls := calls[:at_once]:
        seconds, share = await _seconds(state, context), rest.share(len(calls))
        update["asked"] = [_task(call, seconds, share) for call in calls]
    update["messages"] = [*([seen.asked] if seen.asked is not asked else []), *answers]
    return update


def after_delegate(state: TeamState) -> list[Send] | str:
    """Ask the specialists side by side; then call the tools that are left; then go on."""
    if asked := state["asked"]:
        return [Send(task["call"]["name"], task) for task in asked]
    if open_calls(state["messages"]):
        return "tools"
    return "offline" if state.get("route", {}).get("degraded") else "model"


def _task(call: ToolCall, seconds: float, share: Left) -> Task:
    return Task(call=call, seconds=seconds, calls=share.calls, tokens=share.tokens, cost=share.cost)


def left_over(at_once: int) -> str:
    """Say that there are too many calls."""
    return f"Only {at_once} more specialists may be asked in this turn"


def _sorted(
    seen: Approved, waiting: set[str], team: Offer, own: Offer
) -> tuple[list[ToolCall], list[ToolMessage]]:
    """Return the calls of specialists that can be made, and the answers to those that cannot."""
    calls: list[ToolCall] = []
    answers = list(_malformed(seen.asked, waiting))
    for call in seen.asked.tool_calls:
        call_id, tool = call["id"] or "", team.by_name.get(call["name"])
        if call_id not in waiting or (tool is None and call["name"] in own.by_name):
            continue
        if refused := seen.refused.get(call_id):
            answers.append(refused)
        elif tool is None:
            there_are = ", ".join([*team.by_name, *own.by_name]) or "none"
            answers.append(failed(call, "unknown_tool", f"There is only: {there_are}."))
        elif flaw := flaws(call, tool):
            answers.append(failed(call, "wrong_arguments", flaw))
        else:
            calls.append(call)
    return calls, answers


def _malformed(asked: AIMessage, waiting: set[str]) -> Iterator[ToolMessage]:
    call: InvalidToolCall
    for call in asked.invalid_tool_calls:
        if (call["id"] or "") in waiting:
            text = call.get("error") or "the arguments cannot be read"
            yield failed(call, "malformed_call", text[:_MAX_FLAW])


async def _seconds(state: TeamState, context: TeamContext) -> float:
    route = state.get("route")
    time_left = (
        route["deadline"] - asyncio.get_running_loop().time()
        if route
        else current_turn_timeout(await current_models())
    )
    return max(0.0, min(context.specialist_seconds, time_left * _SHARE))


def _have_answered(state: TeamState, asked: AIMessage) -> bool:
    """Say whether those whom a message asked are the ones who were at work last.

    After a turn that was cancelled, others are left in the state; a client may have written more.
    """
    ids = {call["id"] for call in asked.tool_calls}
    return any(each in ids for each in _ids_at_work(state))


def _ids_at_work(state: TeamState) -> list[str | None]:
    tasks: Any = state.get("asked")
    found = []
    for task in tasks if isinstance(tasks, list) else ():
        match task:
            case {"call": {"id": str() | None as call_id}}:
                found.append(call_id)
    return found


def _taken(state: TeamState) -> list[ModelCall]:
    """Return the calls of models that the specialists took who have just answered."""
    ids = set(_ids_at_work(state))
    answers = [m for m in state["messages"] if isinstance(m, ToolMessage)]
    return [call for m in answers if m.tool_call_id in ids for call in calls_of(m)]
