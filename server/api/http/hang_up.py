"""Ending a connection in the middle of an answer, so that its client knows to come back."""

from collections.abc import Callable, MutableMapping
from typing import Any

HANG_UP = "everturn.hang_up"
"""In the scope, where the server can: sends what is written, and ends the connection."""


def hang_up(scope: MutableMapping[str, Any]) -> bool:
    """End the connection of a request; False where the server cannot."""
    end: Callable[[], None] | None = scope.get(HANG_UP)
    if end is not None:
        end()
    return end is not None
