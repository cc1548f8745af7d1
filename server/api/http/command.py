"""A command to a graph that waits, as clients of LangGraph write it."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from everturn.server.api.http.values import FewMessages, Many, Name


class Send(BaseModel):
    """What LangGraph's `Send` takes."""

    node: Name
    input: Annotated[Any, FewMessages] = None


class Command(BaseModel):
    """What LangGraph's `Command` takes."""

    resume: Any = Field(default=None, description="The answer to its interrupt.")
    update: Annotated[dict[str, Any] | list[Any] | None, FewMessages] = Field(
        default=None, description="Changes to its state."
    )
    goto: Name | Send | Many[Name | Send] | None = Field(
        default=None, description="Nodes to go to."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        """LangGraph fails on one that says nothing, and not with words that help."""
        if self.model_fields_set and self.resume is None and not self.update and not self.goto:
            raise ValueError("it changes nothing: give `resume`, `update` or `goto`")
        return self
