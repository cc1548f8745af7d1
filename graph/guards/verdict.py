"""What guards say of a text, in words that all of them share."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Where = Literal["input", "tool", "answer"]
"""What the text is: a user's message, a tool's result, or a model's answer."""

Action = Literal["pass", "mark", "redact", "block"]
"""From the mildest to the hardest. What is marked goes on, with a note for models where it is a
tool's result; of what is redacted a part is replaced; what is blocked is replaced whole."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guard of your own returns; `None` is as good as `pass`."""

    action: Action
    text: str | None = None
    """With `redact`: the text that takes its place."""


class Find(NamedTuple):
    """A part of a text, what it is, and which guard does what with it."""

    start: int
    end: int
    kind: str
    guard: str = ""
    action: Action = "redact"


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that a guard found. It never holds the text."""

    guard: str
    action: Action
    kinds: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """As messages carry it."""
        return {"guard": self.guard, "verdict": self.action, "kinds": list(self.kinds)}


@dataclass(frozen=True, slots=True)
class Screened:
    """A text as it may go on, and what was found in it."""

    text: str
    notes: tuple[Noted, ...] = ()

    @property
    def blocked_by(self) -> str | None:
        """The guard that blocked it."""
        return next((note.guard for note in self.notes if note.action == "block"), None)


def withheld(guard: str) -> str:
    """What takes the place of a text that a guard blocks."""
    return f"[withheld by the guard {guard}]"


def refusal(guard: str) -> str:
    """The answer to what a guard blocks."""
    return f"I cannot help with this: the guard {guard!r} of this service does not let it through."
