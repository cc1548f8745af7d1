"""How limits are written: `10/minute;100/day`, `5 per 2 hours`, as the library `limits` has it."""

from collections.abc import Sequence
from typing import NamedTuple

OFF = "off"
MAX_TIMES = 100_000
"""Each time is kept until it counts no longer."""


class Limit(NamedTuple):
    """So many times in so many seconds."""

    times: int
    seconds: int


def parse_limits(text: str) -> Sequence[Limit]:
    """Read limits; `off` is none.

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
    limits = {Limit(item.amount, item.get_expiry()): None for item in items}
    if not limits or any(not 1 <= limit.times <= MAX_TIMES for limit in limits):
        raise ValueError(
            f"must be off, or a number up to {MAX_TIMES} for each second, minute, hour, day or "
            "month, such as 10/minute, 20/5minute or 10/minute;100/day"
        )
    return list(limits)
