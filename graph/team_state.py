"""What the team remembers beside the conversation: whom its supervisor is waiting for."""

from langchain_core.messages import ToolCall
from typing_extensions import TypedDict  # pydantic cannot read `typing.TypedDict` before 3.12

from everturn.graph.state import State


class Task(TypedDict):
    """A call of a specialist, with its share of what the turn may take."""

    call: ToolCall
    seconds: float
    calls: int
    """Specialists that it may ask in turn."""
    tokens: int | None
    cost: float | None
    """US dollars."""


class TeamState(State):
    """The channels of the team."""

    asked: list[Task]
    """Those that are at work now, side by side."""
