"""A command to a graph that waits, as clients of LangGraph write it."""

from typing import Any

from pydantic import BaseModel, Field


class Send(BaseModel):
    """What LangGraph's `Send` takes."""

    node: str
    input: Any = None


class Command(BaseModel):
    """What LangGraph's `Command` takes."""

    resume: Any = Field(default=None, description="The answer to its interrupt.")
    update: dict[str, Any] | list[Any] | None = Field(
        default=None, description="Changes to its state."
    )
    goto: str | Send | list[str | Send] | None = Field(default=None, description="Nodes to go to.")
