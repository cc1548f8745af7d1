"""A grammar's parts: functions from a source of chance to what is drawn.

Not hypothesis's own: to draw one answer with those takes longer than a turn of the service does.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")
Draw = Callable[[Random], T]


def of(*values: Any) -> Draw[Any]:
    """One of these values."""
    return lambda chance: chance.choice(values)


def either(*draws: Draw[Any]) -> Draw[Any]:
    """What one of these draws."""
    return lambda chance: chance.choice(draws)(chance)


def rarely(usual: Draw[Any], other: Draw[Any], *, one_in: int = 8) -> Draw[Any]:
    """What is usual, or else once in a while."""
    return lambda chance: (usual if chance.randrange(one_in) else other)(chance)


def several(draw: Draw[T], most: int, *, least: int = 0) -> Draw[list[T]]:
    """A list."""
    return lambda chance: [draw(chance) for _ in range(chance.randint(least, most))]


def members(
    always: Mapping[str, Draw[Any]], *, strange: Draw[Any], **sometimes: Draw[Any]
) -> Draw[dict[Any, Any]]:
    """An object with these members, and some of the others; rarely one is missing, or `strange`."""
    others = sorted(sometimes)

    def draw(chance: Random) -> dict[Any, Any]:
        made = {name: each(chance) for name, each in always.items()}
        for name in chance.sample(others, min(len(others), chance.choice((0, 0, 1, 2)))):
            made[name] = sometimes[name](chance)
        if not chance.randrange(16):
            made.pop(chance.choice(sorted(made)), None)
        if not chance.randrange(16):
            made[str(strange(chance))[:50]] = strange(chance)
        return made

    return draw


def torn(chance: Random, data: bytes) -> Sequence[bytes]:
    """Bytes in pieces, cut anywhere: in a line, in a character, in a number."""
    at = sorted(chance.randint(0, len(data)) for _ in range(chance.randint(0, 4)))
    edges = [0, *at, len(data)]
    pieces = (data[a:b] for a, b in pairwise(edges))
    return [piece for piece in pieces if piece]
