"""The node `plan`: takes in the plan that the model wrote, once a person has seen it."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.config import get_config
from langgraph.runtime import Runtime

from everturn.graph.context import Context, PlannerContext, context_as
from everturn.graph.planner_state import PlannerState, Step
from everturn.graph.services import current_budget, place_of
from everturn.graph.steps.approval import Approved, approved
from everturn.graph.steps.planning import (
    MAKE_PLAN,
    WRONG,
    done_in,
    offered_plan,
    plans_made,
    single_step,
    steps_of,
)
from everturn.graph.steps.progress import announce
from everturn.graph.steps.window import calls_of_turn, calls_tools, open_calls
from everturn.tools.kit.arguments import flaws
from everturn.tools.kit.results import failed
from everturn.tools.kit.toolbox import Offer

_MAX_FLAW = 500
"""Characters."""


class _Reviewed:
    """A person approves plans, where the caller wants that."""

    def __init__(self, *, review: bool) -> None:
        self._review = review

    def needs_approval(self, tool: BaseTool) -> bool:
        """See `Approval`."""
        return self._review


async def plan(state: PlannerState, *, runtime: Runtime[Context]) -> dict[str, Any]:
    """Answer calls that bring no plan that can be carried out; the first that does is taken.

    A model that writes a wrong plan for the second time gets a plan of one step: what the user
    wants. A person who rejects a plan is heard by the model, which makes another one or answers.
    """
    context = context_as(runtime, PlannerContext)
    if budget := current_budget():
        budget.check_tools(calls_of_turn(state["messages"]), place_of(get_config()))
    asked = _asked(state)
    offer = await offered_plan(state, context)
    waiting = {call["id"] or "" for call in open_calls(state["messages"])}
    seen = approved(asked, waiting, _Reviewed(review=context.review_plan), offer)
    answers, steps = _read(seen, offer, partial(_steps, state, context))
    wrong = next(filter(_is_wrong, answers), None)
    if steps is None and wrong and plans_made(state["messages"], wrong=True):
        steps = single_step(state)
        answers.remove(wrong)
    update: dict[str, Any] = {"messages": answers}
    if seen.asked is not asked:
        update["messages"] = [seen.asked, *answers]
    if steps is not None:
        announce(runtime, steps)
        update |= {"steps": steps, "wave": []}
    return update


def _read(
    seen: Approved, offer: Offer, steps_of_call: Callable[[ToolCall], list[Step]]
) -> tuple[list[ToolMessage], list[Step] | None]:
    """Return the plan, if a call brings one, and the answers to all other calls."""
    answers: list[ToolMessage] = []
    steps: list[Step] | None = None
    for call in seen.asked.tool_calls:
        tool = offer.by_name.get(call["name"])
        if refused := seen.refused.get(call["id"] or ""):
            answers.append(refused)
        elif tool is None:
            answers.append(failed(call, "unknown_tool", f"There is only {MAKE_PLAN}."))
        elif flaw := flaws(call, tool):
            answers.append(failed(call, "wrong_arguments", flaw))
        elif steps is not None:
            answers.append(failed(call, "refused", "One plan at a time: put the steps into one."))
        else:
            steps = steps_of_call(call)
    for malformed in seen.asked.invalid_tool_calls:
        text = malformed.get("error") or "the arguments cannot be read"
        answers.append(failed(malformed, "malformed_call", text[:_MAX_FLAW]))
    return answers, steps


def _steps(state: PlannerState, context: PlannerContext, call: ToolCall) -> list[Step]:
    return steps_of(call["args"], context.max_steps, done_in(state))


def after_plan(state: PlannerState) -> Literal["dispatch", "model", "offline"]:
    """A plan is carried out; a call that brought none is answered, and the model goes on."""
    if open_calls(state["messages"]):
        return "dispatch"
    return "offline" if state.get("route", {}).get("degraded") else "model"


def _asked(state: PlannerState) -> AIMessage:
    """Return the message that calls the tool."""
    return next(
        message
        for message in reversed(state["messages"])
        if isinstance(message, AIMessage) and calls_tools(message)
    )


def _is_wrong(answer: ToolMessage) -> bool:
    return answer.additional_kwargs.get("failure") in WRONG
