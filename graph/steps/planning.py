"""The tool `make_plan`: what a model is shown of it, and what a plan must be like.

A plan is a tool call, so that it is asked for, checked, corrected and remembered as any other.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from itertools import takewhile
from typing import Annotated, Any

from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from everturn.graph.context import Context, PlannerContext
from everturn.graph.models.content import text_of
from everturn.graph.planner_state import PlannerState, Step
from everturn.graph.services import current_toolbox
from everturn.graph.state import State
from everturn.tools.kit.toolbox import Offer

MAKE_PLAN = "make_plan"

WRONG = {"wrong_arguments", "malformed_call"}
"""What is wrong with the answer to a plan that could not be taken."""

_MAX_TEXT = 4000
_MAX_ID = 40
_DESCRIPTION = (
    "Make a plan and have it carried out; the results come back. Steps that do not depend on each "
    "other are carried out at the same time. To change a plan, call it again with the whole new "
    "plan: finished steps that keep their id are not carried out again."
)


class PlannedStep(BaseModel):
    """One step of the plan."""

    model_config = ConfigDict(str_strip_whitespace=True)

    id: str = Field(min_length=1, max_length=_MAX_ID, description="A short name of its own: 1, 2.")
    text: str = Field(
        min_length=1,
        max_length=_MAX_TEXT,
        description="What to do, with all that is needed to do it: nothing else is shown to the "
        "one who does it, but the results of the steps it depends on.",
    )
    depends_on: list[str] = Field(
        default_factory=list, description="Ids of the steps whose results it needs."
    )


async def offered_plan(state: State, context: Context) -> Offer:
    """Offer the tool that makes plans; nothing where the caller wants no tools."""
    execution = (await current_toolbox()).execution
    if not context.use_tools or not isinstance(context, PlannerContext):
        return Offer((), execution)
    done = frozenset(step["id"] for step in done_in(state))
    return Offer((_tool(context.max_steps, done),), execution)


def done_in(state: State) -> list[Step]:
    """Return the finished steps of the turn that goes on; those of earlier turns count no more."""
    if not plans_made(state["messages"], wrong=False):
        return []
    steps: Sequence[Step] = state.get("steps") or ()  # type: ignore[assignment]  # of PlannerState
    return [step for step in steps if step["status"] == "done"]


def plans_made(messages: Sequence[AnyMessage], *, wrong: bool) -> int:
    """Count the plans of this turn that were carried out, or that were wrong."""
    turn = takewhile(lambda message: not isinstance(message, HumanMessage), reversed(messages))
    answers = [m for m in turn if isinstance(m, ToolMessage)]
    if wrong:
        return sum(m.additional_kwargs.get("failure") in WRONG for m in answers)
    return sum(m.name == MAKE_PLAN and m.status == "success" for m in answers)


def steps_of(args: dict[str, Any], most: int, done: Iterable[Step]) -> list[Step]:
    """Return the plan of a call that was checked: finished steps stay as they are."""
    finished = {step["id"]: step for step in done}
    schema: Any = _tool(most, frozenset(finished)).args_schema
    planned = schema.model_validate(args).steps
    ids = {step.id for step in planned}
    kept = [step for step in finished.values() if step["id"] not in ids]
    return [*kept, *(finished.get(step.id) or _pending(step) for step in planned)]


def single_step(state: PlannerState) -> list[Step]:
    """Return the plan of those that cannot be made: what the user wants, as one step."""
    return [_pending(PlannedStep(id="1", text=request_in(state["messages"])[:_MAX_TEXT] or "?"))]


def request_in(messages: Sequence[AnyMessage]) -> str:
    """Return what the user said last."""
    said = (m for m in reversed(messages) if isinstance(m, HumanMessage))
    newest = next(said, None)
    return text_of(newest.content) if newest else ""


def _pending(step: PlannedStep) -> Step:
    return Step(
        id=step.id,
        text=step.text,
        depends_on=list(dict.fromkeys(step.depends_on)),
        status="pending",
        result="",
    )


def _generous(given: Any) -> Any:
    """Take steps that are mere texts, or have numbers for ids: small models write them so."""
    if not isinstance(given, list):
        return given
    return [_written(step, number) for number, step in enumerate(given, start=1)]


def _written(step: Any, number: int) -> Any:
    if isinstance(step, str):
        return {"id": str(number), "text": step}
    if not isinstance(step, dict):
        return step
    needed = step.get("depends_on") or []
    if isinstance(needed, list):
        needed = [str(each) if isinstance(each, int) else each for each in needed]
    named = step.get("id", number)
    return {**step, "id": str(named) if isinstance(named, int) else named, "depends_on": needed}


def _check(steps: Sequence[PlannedStep], done: frozenset[str]) -> None:
    """Raise ValueError where a plan cannot be carried out; it may build upon what is done."""
    ids = [step.id for step in steps]
    if twice := sorted({each for each in ids if ids.count(each) > 1}):
        raise ValueError(f"two steps have the id {twice[0]!r}")
    known = {*ids, *done}
    for step in steps:
        if unknown := [each for each in step.depends_on if each not in known]:
            raise ValueError(f"step {step.id!r} depends on {unknown[0]!r}, which is no step")
    try:
        TopologicalSorter({step.id: step.depends_on for step in steps}).prepare()
    except CycleError as error:
        circle = " -> ".join(map(str, error.args[1]))
        raise ValueError(f"the steps wait for each other: {circle}") from None


@lru_cache(maxsize=256)
def _tool(most: int, done: frozenset[str]) -> BaseTool:
    """Make the tool for plans of so many steps, which may build upon those that are done.

    What is checked stands at the argument: LangChain shows models a copy of the schema, which has
    the validators of arguments only.
    """

    def checked(steps: list[PlannedStep]) -> list[PlannedStep]:
        _check(steps, done)
        return steps

    several = Annotated[
        list[PlannedStep],
        BeforeValidator(_generous),
        Field(min_length=1, max_length=most),
        AfterValidator(checked),
    ]
    return StructuredTool.from_function(
        coroutine=_never,
        name=MAKE_PLAN,
        description=_DESCRIPTION,
        args_schema=create_model(MAKE_PLAN, steps=(several, ...)),
    )


async def _never(**_: Any) -> str:
    """Stand for the nodes that carry a plan out: the tool itself is never called."""
    return ""
