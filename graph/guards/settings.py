"""What goes into the graph, and out of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self, cast

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from everturn.graph.guards.verdict import Action
from everturn.graph.guards.words import compiled
from everturn.tools.kit.lists import listed

Name = Literal["injection", "pii", "secrets", "deny"]

_ACTIONS: dict[str, tuple[Action, ...]] = {
    "injection": ("block", "mark"),
    "pii": ("redact", "block", "mark"),
    "secrets": ("redact", "block", "mark"),
    "deny": ("block", "redact", "mark"),
}
"""What each guard may do; first what it does where nothing is said."""


class GuardSettings(BaseSettings):
    """What goes into the graph, and out of it."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    guards: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Comma list of guards of our own graphs: injection, pii, secrets; pii:block "
        "and the like say what is done: block, redact or mark.",
    )
    guard_deny: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Comma list of words, or regular expressions between slashes, that neither go "
        "in nor come out.",
    )
    guard_allow: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="The same of what pii, secrets and the denied words leave alone.",
    )
    guard_paths: Annotated[list[Path], NoDecode] = Field(
        default_factory=list,
        description="Comma list of folders whose files hold guards of your own, one a file.",
    )

    @field_validator("guards", "guard_deny", "guard_allow", "guard_paths", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return listed(value)

    @field_validator("guards")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        for entry in value:
            name, _, action = entry.partition(":")
            if name not in _ACTIONS:
                raise ValueError(f"{entry!r}: there is no such guard; there are {_list(_ACTIONS)}")
            if action and action not in _ACTIONS[name]:
                raise ValueError(f"{entry!r}: {name} can {_list(_ACTIONS[name])}")
        return value

    @field_validator("guard_deny", "guard_allow")
    @classmethod
    def _usable(cls, value: list[str]) -> list[str]:
        for entry in value:
            compiled(entry)
        return value

    @classmethod
    def read(cls) -> Self:
        """Read the environment and `.env`, unless that is in an encoding that the service reads."""
        try:
            return cls()
        except UnicodeDecodeError:  # it is in the environment by now, whatever its encoding
            return cls(_env_file=None)

    @property
    def on(self) -> bool:
        """Whether any guard is."""
        return bool(self.actions or self.guard_paths)

    @property
    def actions(self) -> dict[Name, Action]:
        """What the guards that are on do, in the order in which they look."""
        said = {name: action for name, _, action in (e.partition(":") for e in self.guards)}
        if self.guard_deny:
            said.setdefault("deny", "")
        elif "deny" in said:
            del said["deny"]
        return {
            cast("Name", name): cast("Action", said[name] or of_it[0])
            for name, of_it in _ACTIONS.items()
            if name in said
        }


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
