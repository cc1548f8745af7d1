"""How a tool, or where it comes from, is doing."""

from typing import Literal, NamedTuple


class Health(NamedTuple):
    """The state of something that may fail."""

    status: Literal["healthy", "degraded", "down"] = "healthy"
    reason: str = ""
    """What is wrong, in words that anybody may read."""
