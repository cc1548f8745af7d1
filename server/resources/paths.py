"""Paths into a thread: `values.messages[-1].content`, as `extract` of a search names them."""

import re
from typing import Any

ROOTS = ("values", "metadata", "config", "interrupts")

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d{1,9})\]")

Path = tuple[str | int, ...]


def parse_path(text: str) -> Path:
    """Read a path: keys after dots, places in lists in brackets, negative from the end.

    Raises:
        ValueError: saying what a path may look like.
    """
    steps: list[str | int] = []
    position = 0
    while match := _STEP.match(text, position):
        key, place = match.groups()
        steps.append(key if place is None else int(place))
        position = match.end()
    if position != len(text) or not steps or text[0] == "." or steps[0] not in ROOTS:
        raise ValueError(
            f"{text!r} is no path: it begins with {', '.join(ROOTS)}, "
            "as in values.messages[-1].content"
        )
    return tuple(steps)


def follow(path: Path, document: Any) -> Any:
    """Return what a path leads to in plain JSON; `None` where it leads nowhere."""
    for step in path:
        if isinstance(step, str) and isinstance(document, dict):
            document = document.get(step)
        elif (
            isinstance(step, int)
            and isinstance(document, list)
            and -len(document) <= step < len(document)
        ):
            document = document[step]
        else:
            return None
    return document
