"""How limits are written: `10/minute;100/day`, `5 per 2 hours`, as the library `limits` has it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

OFF = "off"
MAX_TIMES = 100_000
"""Each time is kept until it counts no longer."""
MAX_SECONDS = 366 * 86_400


class Limit(NamedTuple):
    """So many times in so many seconds."""

    times: int
    seconds: int


@lru_cache  # a caller's own are read with each of their requests
def parse_limits(text: str) -> Sequence[Limit]:
    """Read limits; `off` is none, and of two for the same seconds the lower one counts.

    Raises:
        ValueError: they cannot be read, or are none that can be kept; says what is allowed.
    """
    if text.strip().lower() == OFF:
        return ()
    from limits import parse_many  # here: it takes 40 ms, and most have no limits

    try:
        items = parse_many(text.strip().rstrip(";"))
    except ValueError:
        items = []
    limits = [Limit(item.amount, item.get_expiry()) for item in items]
    if not limits or not all(map(_can_be_kept, limits)):
        raise ValueError(
            f"must be off, or a number up to {MAX_TIMES} for each second, minute, hour, day, month "
            "or year, such as 10/minute, 20/5minute or 10/minute;100/day"
        )
    lowest: dict[int, Limit] = {}
    for limit in limits:
        lowest[limit.seconds] = min(limit, lowest.get(limit.seconds, limit))
    return list(lowest.values())


def _can_be_kept(limit: Limit) -> bool:
    return 1 <= limit.times <= MAX_TIMES and limit.seconds <= MAX_SECONDS
