"""The health of a tool or of its source."""

from typing import Literal, NamedTuple


class Health(NamedTuple):
    """The state of something that may fail."""

    status: Literal["healthy", "degraded", "down"] = "healthy"
    reason: str = ""
    """What is wrong, in words that any client may read."""
