"""Specialists that the settings name: agents of this service, or some that live elsewhere."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

if TYPE_CHECKING:
    from everturn.graph.specialists.kit.specialist import Specialist

_TAKEN = {
    *("model", "tools", "delegate", "fallback_router", "offline", "stop", "guard_input"),
    *("messages", "route", "asked"),
}
"""Names of the graph's other nodes, and of its channels."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class NamedSpecialist(BaseModel):
    """A specialist as settings name it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    purpose: str = Field(min_length=1, max_length=1000)
    kind: Literal["agent", "langgraph", "a2a"] = "agent"
    tools: list[str] = Field(default_factory=list)
    colleagues: list[Name] = Field(default_factory=list)
    instructions: str = Field(default="", max_length=8000)
    min_context: int | None = Field(default=None, ge=1)
    """Tokens that its model must be able to read."""
    url: HttpUrl | None = None
    graph: str = Field(default="agent", min_length=1)
    """Of a LangGraph server: the graph or assistant to ask."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """Seconds that one that lives elsewhere has for an answer."""

    @field_validator("name")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if value in _TAKEN:
            raise ValueError("a part of the graph has this name")
        return value

    @field_validator("url")
    @classmethod
    def _holds_no_secret(cls, value: HttpUrl | None) -> HttpUrl | None:
        if value and (value.username or value.password):
            raise ValueError("the URL holds a user or a password: put what proves you in `headers`")
        return value

    @model_validator(mode="after")
    def _here_or_elsewhere(self) -> Self:
        if self.kind == "agent" and (self.url or self.headers):
            raise ValueError("`url` and `headers` go with the kinds langgraph and a2a")
        if self.kind != "agent" and self.url is None:
            raise ValueError(f"a specialist of the kind {self.kind} needs a `url`")
        if self.kind != "agent" and (self.tools or self.colleagues or self.instructions):
            raise ValueError("`tools`, `colleagues` and `instructions` go with the kind agent")
        return self

    def specialist(self) -> "Specialist":
        """Return the specialist that is meant."""
        from everturn.graph.specialists.kit.specialist import Specialist

        if self.url is None:
            return Specialist(
                name=self.name,
                purpose=self.purpose,
                tools=tuple(self.tools),
                colleagues=tuple(self.colleagues),
                instructions=self.instructions,
                require_tools=bool(self.tools or self.colleagues),
                min_context=self.min_context,
            )
        from everturn.graph.specialists.kit.a2a import A2AAgent
        from everturn.graph.specialists.kit.langgraph_server import LangGraphServer

        url, headers = str(self.url).rstrip("/"), self.headers
        remote = (
            A2AAgent(self.name, url, headers, self.timeout)
            if self.kind == "a2a"
            else LangGraphServer(self.name, url, headers, self.timeout, self.graph)
        )
        return Specialist(name=self.name, purpose=self.purpose, remote=remote)


class SpecialistSettings(BaseSettings):
    """The specialists of the team, beside those of files."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    specialists: Annotated[list[NamedSpecialist], NoDecode] = Field(
        default_factory=list,
        description='JSON: [{"name": …, "purpose": …, "kind": "agent", "tools": […]}] or '
        '[{"name": …, "purpose": …, "kind": "langgraph" or "a2a", "url": …, "headers": {…}}].',
    )

    @field_validator("specialists", mode="before")
    @classmethod
    def _read_json(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"it is not JSON: {error}") from None

    @field_validator("specialists")
    @classmethod
    def _have_names_of_their_own(cls, value: list[NamedSpecialist]) -> list[NamedSpecialist]:
        names = [each.name for each in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two specialists have the name {twice[0]}")
        return value

    @classmethod
    def read(cls) -> Self:
        """Read the environment and `.env`, unless that is in an encoding that the service reads."""
        try:
            return cls()
        except UnicodeDecodeError:  # it is in the environment by now, whatever its encoding
            return cls(_env_file=None)
