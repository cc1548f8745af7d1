"""What a look at the stores finds."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

Repair = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the stores."""

    weight: Literal["ok", "warning", "error"]
    """`error`: the service cannot work with it."""
    about: str
    says: str
    repair: Repair | None = None
    """Puts it right; None where that takes a decision, or is not needed."""
