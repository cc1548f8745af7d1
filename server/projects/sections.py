"""How the description of `langgraph.json` is written: each key says what happens to it here."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Treatment = Literal["honoured", "ignored", "refused", "no meaning"]
"""`ignored` keys are named in a warning, `refused` ones keep the service from starting. A key of
`no meaning` describes an image to build, or something that this service does not have."""


class Section(BaseModel):
    """An object of the file. Unknown keys are kept: a warning names them. Null is not said."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, section: Any) -> Any:
        if not isinstance(section, dict):
            return section
        return {key: value for key, value in section.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Key:
    """What becomes of a key, and in which words a reader learns it."""

    treatment: Treatment
    says: str


def honoured(says: str, default: Any = None, **limits: Any) -> Any:
    """Describe a key that does what it says."""
    return _field("honoured", says, default, limits)


def ignored(says: str) -> Any:
    """Describe a key that has no effect, which a warning says at the start."""
    return _field("ignored", says, None, {})


def refused(says: str) -> Any:
    """Describe a key that guards something and cannot be honoured."""
    return _field("refused", says, None, {})


def without_meaning(says: str = "describes the image that LangGraph's command builds") -> Any:
    """Describe a key that says nothing to a service that is started as it is."""
    return _field("no meaning", says, None, {})


def _field(treatment: Treatment, says: str, default: Any, limits: dict[str, Any]) -> Any:
    extra: Any = {"treatment": treatment}
    if callable(default):
        return Field(default_factory=default, description=says, json_schema_extra=extra, **limits)
    return Field(default=default, description=says, json_schema_extra=extra, **limits)
