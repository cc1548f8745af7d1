"""Approvals on the wire: the calls that wait, and what a person decided of each."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from everturn.server.api.http.values import Many
from everturn.server.resources.approvals import Decision


class WaitingCall(BaseModel):
    """A tool call that waits for a person."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    args: dict[str, Any]
    description: str = Field(description="What the tool does.")


class DecisionRequest(BaseModel):
    """What was decided of one call."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=1000, description="The call's.")
    type: Literal["approve", "edit", "reject"]
    args: dict[str, Any] | None = Field(
        default=None, description="With `edit`: what to call the tool with instead."
    )
    message: str | None = Field(
        default=None, max_length=4000, description="With `reject`: why; the model reads it."
    )

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if (self.args is not None) != (self.type == "edit"):
            raise ValueError("`args` belong to `edit`, which needs them, and to nothing else")
        if self.message is not None and self.type != "reject":
            raise ValueError("a `message` belongs to `reject`")
        return self


class ResumeRequest(BaseModel):
    """The answer to what a session waits for."""

    model_config = ConfigDict(extra="forbid")

    decisions: Many[DecisionRequest] | None = Field(
        default=None, min_length=1, description="On tool calls: one for each that waits."
    )
    answer: Any = Field(
        default=None, description="To a question of another kind: what its graph expects."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.decisions is None) == ("answer" not in self.model_fields_set):
            raise ValueError("give either `decisions` or `answer`")
        return self

    def decided(self) -> list[Decision] | None:
        """Put the decisions in the engine's words."""
        if self.decisions is None:
            return None
        return [Decision(**decision.model_dump()) for decision in self.decisions]
