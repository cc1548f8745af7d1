"""JSON that clients send to be kept: refused where no database or no answer could carry it."""

import re
from collections.abc import Iterator
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator

MAX_DEPTH = 100
_SURROGATE = re.compile("[\ud800-\udfff]")


def _sendable(value: Any) -> Any:
    """Refuse what JSON's parser takes but no answer could carry.

    Raises:
        ValueError: saying what is wrong, without the content.
    """
    for each in _everything_in(value):
        if isinstance(each, str) and _SURROGATE.search(each):
            raise ValueError("must not contain half of a surrogate pair: it is no character")
        if isinstance(each, float) and not isfinite(each):
            raise ValueError("must not contain NaN or Infinity: JSON has no such numbers")
    return value


def _storable(value: Any) -> Any:
    """Refuse, beyond that, what PostgreSQL does not store.

    Raises:
        ValueError: as above.
    """
    if any(isinstance(each, str) and "\0" in each for each in _everything_in(_sendable(value))):
        raise ValueError("must not contain the character U+0000: a database cannot store it")
    return value


def _everything_in(value: Any) -> Iterator[Any]:
    """Walk through keys and values, level by level."""
    level = [value]
    for _ in range(MAX_DEPTH):
        yield from level
        level = [inner for each in level for inner in _inside(each)]
    if level:
        raise ValueError(f"must not nest deeper than {MAX_DEPTH} levels")


def _inside(outer: Any) -> list[Any]:
    if isinstance(outer, dict):
        return [*outer, *outer.values()]
    return outer if isinstance(outer, list) else []


def _identifier(value: str) -> str:
    if any(ord(each) < 32 or ord(each) == 127 or _SURROGATE.match(each) for each in value):  # noqa: PLR2004 - ASCII
        raise ValueError("must not contain control characters or half a character")
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
"""For ids that clients choose."""

Text = Annotated[str, AfterValidator(_storable)]
"""For names and descriptions that go into the database."""

Sendable = AfterValidator(_sendable)
"""For members of bodies that go into a graph's state."""

JsonObject = Annotated[dict[str, Any], AfterValidator(_storable)]
"""For members of bodies that go into the database."""
