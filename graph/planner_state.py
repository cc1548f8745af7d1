"""What the planner remembers beside the conversation: its plan, step by step."""

from typing import Annotated, Literal, NotRequired

from langchain_core.messages import AnyMessage
from langgraph.channels import UntrackedValue
from langgraph.graph import add_messages
from typing_extensions import TypedDict  # pydantic cannot read `typing.TypedDict` before 3.12

from everturn.graph.state import ModelCall, State

Status = Literal["pending", "running", "done", "failed", "skipped"]
"""skipped: not carried out, as the plan was stopped before."""


class Step(TypedDict):
    """One step of a plan."""

    id: str
    text: str
    depends_on: list[str]
    """The steps whose results it needs, by their ids."""
    status: Status
    result: str
    """What it brought, or why it brought nothing; empty until then."""
    calls: NotRequired[list[ModelCall]]
    """The calls of models that it took."""


class Work(TypedDict):
    """A step with all that its node needs to know."""

    step: Step
    request: str
    """What the user wants in the end."""
    results: list[Step]
    """The steps that it depends on."""
    seconds: float
    """That it may take."""
    tokens: int | None
    """That the models may take which it asks."""


def changed(steps: list[Step], change: list[Step] | Step) -> list[Step]:
    """Put a new plan in place of the old one, or one step in place of that with its id.

    Raises:
        ValueError: a client wrote what is neither into the state.
    """
    for each in change if isinstance(change, list) else [change]:
        if not isinstance(each, dict) or not Step.__required_keys__ <= each.keys():
            raise ValueError(f"a step has {', '.join(sorted(Step.__required_keys__))}")
    if isinstance(change, list):
        return change
    return [change if step["id"] == change["id"] else step for step in steps]


class PlannerOutput(TypedDict):
    """What a turn leaves: the conversation, and the newest plan that was made in it."""

    messages: Annotated[list[AnyMessage], add_messages]
    steps: Annotated[list[Step], changed]


class PlannerState(State):
    """The channels of the planner. A write to `steps` is a list, the plan, or one step of it."""

    steps: Annotated[list[Step], changed]
    wave: list[Work]
    """The steps that are carried out now, side by side."""
    until: Annotated[float, UntrackedValue]
    """The moment at which the steps must have ended, in the event loop's seconds. A run that goes
    on in another process has all of its time again, as its turn has."""
