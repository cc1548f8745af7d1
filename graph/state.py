"""What the agent remembers, and what it knows for one run only."""

from typing import Annotated, Literal, NotRequired

from langchain_core.messages import AnyMessage
from langgraph.channels import UntrackedValue
from langgraph.graph import add_messages

# pydantic, which draws Studio's forms from these, cannot read `typing.TypedDict` before 3.12.
from typing_extensions import TypedDict


class Attempt(TypedDict):
    """One model that was asked and did not answer."""

    model: str
    failure: str
    """The class of failure, a name of `graph.models.failures.Kind`."""
    message: str
    """What happened, fit for the caller: no key, no trace."""


class Route(TypedDict):
    """Which model speaks in this run, and who was tried before."""

    model: str
    mode: Literal["primary", "fallback", "offline", "stopped"]
    tried: list[Attempt]
    failed: NotRequired[bool]
    """The newest of `tried` has just failed and the router has not spoken yet."""


class Input(TypedDict):
    """What a turn brings."""

    messages: Annotated[list[AnyMessage], add_messages]


class Output(TypedDict):
    """What a turn leaves: the whole conversation; its last message is the answer."""

    messages: Annotated[list[AnyMessage], add_messages]


class State(TypedDict):
    """The channels of the agent.

    `messages` is the thread's memory. `route` is never checkpointed: models that failed in one
    turn must not be struck off the thread's next one. A run that resumes finds no route and
    starts with its first candidate again.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    route: Annotated[Route, UntrackedValue]
