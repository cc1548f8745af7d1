"""The node `dispatch`: says which steps of the plan are carried out now, or what came of it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.runtime import Runtime
from langgraph.types import Send

from everturn.graph.context import Context, PlannerContext, context_as
from everturn.graph.models.provider import Models
from everturn.graph.planner_state import PlannerState, Step, Work
from everturn.graph.services import current_models, current_turn_timeout
from everturn.graph.steps.delegation import spent_in
from everturn.graph.steps.planning import MAKE_PLAN, plans_made, request_in
from everturn.graph.steps.progress import calls_of_steps, ready, reason_to_stop, told
from everturn.graph.steps.route import CALLS, with_calls
from everturn.graph.steps.window import open_calls

_SHARE = 0.8
"""Of the time that the turn has left; the rest is for the answer, or another plan."""


async def dispatch(state: PlannerState, *, runtime: Runtime[Context]) -> dict[str, Any]:
    """Begin all steps whose turn it is, or answer the call that made the plan."""
    context = context_as(runtime, PlannerContext)
    now, steps = asyncio.get_running_loop().time(), state["steps"]
    until = state.get("until") if state.get("wave") else None
    if until is None:  # a new plan, or a run that goes on in another process
        until = now + _seconds(state, context, await current_models(), now)
    new = [work["step"]["id"] for work in state.get("wave") or ()]
    stopped = reason_to_stop(steps, context, until - now, new)
    wave = [] if stopped else ready(steps)
    if wave:
        ids = {step["id"] for step in wave}
        begun = [Step(**{**s, "status": "running"}) if s["id"] in ids else s for s in steps]
        share = _share_of_tokens(steps, context, len(ids))
        work = [_work(step, state, until - now, share) for step in begun if step["id"] in ids]
        return {"steps": begun, "wave": work, "until": until}
    return _ended(state, stopped, context)


def after_dispatch(state: PlannerState) -> list[Send] | str:
    """Carry the steps out side by side; without any, the model goes on."""
    if wave := state["wave"]:
        return [Send("step", work) for work in wave]
    return "offline" if state.get("route", {}).get("degraded") else "model"


def _seconds(state: PlannerState, context: PlannerContext, models: Models, now: float) -> float:
    route = state.get("route")
    left = route["deadline"] - now if route else current_turn_timeout(models)
    return min(left * _SHARE, context.max_plan_seconds or float("inf"))


def _share_of_tokens(steps: list[Step], context: PlannerContext, number: int) -> int | None:
    if context.max_plan_tokens is None:
        return None
    tokens, _ = spent_in(calls_of_steps(steps))
    return max(1, (context.max_plan_tokens - tokens) // number)


def _work(step: Step, state: PlannerState, seconds: float, tokens: int | None) -> Work:
    return Work(
        step=step,
        request=request_in(state["messages"]),
        results=[each for each in state["steps"] if each["id"] in step["depends_on"]],
        seconds=seconds,
        tokens=tokens,
    )


def _ended(state: PlannerState, stopped: str, context: PlannerContext) -> dict[str, Any]:
    """Answer the plan's call with its results, and count what its steps took."""
    left_out = {"status": "skipped", "result": f"not carried out: {stopped}"}
    steps = [
        Step(**{**step, **left_out}) if step["status"] in {"pending", "running"} else step  # type: ignore[typeddict-item]
        for step in state["steps"]
    ]
    revisions = context.max_revisions - plans_made(state["messages"], wrong=False)
    calls = calls_of_steps(steps)
    answers = [
        ToolMessage(
            told(steps, stopped, revisions),
            tool_call_id=call["id"] or "",
            name=MAKE_PLAN,
            response_metadata={CALLS: calls},
            additional_kwargs={"timestamp": datetime.now(UTC).isoformat()},
        )
        for call in open_calls(state["messages"])[:1]
    ]
    uncounted = [Step(**{k: v for k, v in s.items() if k != "calls"}) for s in steps]  # type: ignore[typeddict-item]
    update: dict[str, Any] = {"steps": uncounted, "wave": [], "messages": answers}
    if route := state.get("route"):
        update["route"] = with_calls(route, calls)
    return update
