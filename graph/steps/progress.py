"""How far a plan is: which steps can be carried out now, and what is told when none can."""

import json
from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from everturn.graph.context import Context, PlannerContext
from everturn.graph.planner_state import Step
from everturn.graph.state import ModelCall
from everturn.graph.steps.delegation import spent_in
from everturn.graph.steps.planning import MAKE_PLAN

REPLAN = "REPLAN:"
"""A line of a result that begins so says that the rest of the plan no longer fits."""

_CHARACTERS = 20_000
"""Of all results together, as a model reads them."""


def ready(steps: Sequence[Step]) -> list[Step]:
    """Return the steps whose turn it is: all that they depend on is done."""
    done = {step["id"] for step in steps if step["status"] == "done"}
    return [s for s in steps if s["status"] == "pending" and done.issuperset(s["depends_on"])]


def reason_to_stop(
    steps: Sequence[Step], context: PlannerContext, seconds: float, new: Sequence[str]
) -> str:
    """Say why no further step is to begin; nothing while they may. `new` names the newest ones."""
    if failed := [step["id"] for step in steps if step["status"] == "failed"]:
        return f"step {', '.join(failed)} failed"
    for step in steps:
        if step["id"] in new and (found := _wish_to_replan(step["result"])):
            return f"step {step['id']} wants another plan: {found}"
    if seconds <= 0:
        return "there is no time left"
    tokens, _ = spent_in(calls_of_steps(steps))
    if context.max_plan_tokens is not None and tokens >= context.max_plan_tokens:
        return f"the steps took {tokens:,} tokens, and {context.max_plan_tokens:,} are all they may"
    return ""


def calls_of_steps(steps: Sequence[Step]) -> list[ModelCall]:
    """Return the calls of models that the steps took."""
    return [call for step in steps for call in step.get("calls", ())]


def told(steps: Sequence[Step], stopped: str, revisions_left: int) -> str:
    """Put what came of a plan as the model reads it."""
    found: dict[str, Any] = {"steps": bounded(steps)}
    if stopped:
        found["stopped"] = stopped
        found["next"] = (
            f"Call {MAKE_PLAN} with a better plan, or answer from these results."
            if revisions_left > 0
            else "No further plan is carried out: answer from these results."
        )
    return json.dumps(found, ensure_ascii=False)


def bounded(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Return steps as they are shown to a model: with results that are not too long together."""
    most = max(200, _CHARACTERS // max(1, len(steps)))
    return [{**_public(step), "result": _cut(step["result"], most)} for step in steps]


def announce(runtime: Runtime[Context], steps: Sequence[Step]) -> None:
    """Emit a custom event `plan`: all steps of a new plan."""
    runtime.stream_writer({"type": "plan", "steps": [_public(step) for step in steps]})


def show(runtime: Runtime[Context], step: Step) -> None:
    """Emit a custom event `step`: a step has begun, or ended."""
    runtime.stream_writer({"type": "step", **_public(step)})


def _public(step: Step) -> dict[str, Any]:
    return {name: value for name, value in step.items() if name != "calls"}


def _wish_to_replan(result: str) -> str:
    lines = (line.strip() for line in result.splitlines())
    found = next((line for line in lines if line.startswith(REPLAN)), "")
    return found.removeprefix(REPLAN).strip() or found


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} [Cut: {most} of {len(text)} characters.]"
