"""Counts in Redis that nothing fails for: while it is away, what should be counted goes on.

Without Redis no turn begins, and what waits is bounded by EVERTURN_MAX_QUEUED. What needs no Redis
is not refused for want of a count, and no request waits twice for a server that is silent.
"""

from collections.abc import Awaitable
from time import monotonic
from typing import TypeVar

from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError

T = TypeVar("T")
log = get_logger(__name__)

AWAY_SECONDS = 5.0
"""For which nothing is asked after Redis did not answer."""


class Counting:
    """Knows whether Redis was away a moment ago."""

    def __init__(self) -> None:
        self._away_until = 0.0

    @property
    def away(self) -> bool:
        """Whether it had better not be asked now."""
        return monotonic() < self._away_until

    async def reply(self, asked: Awaitable[T]) -> T | None:
        """Return what Redis replies; None where it does not, which the log says."""
        try:
            return await asked
        except CheckpointsError as error:
            self._away_until = monotonic() + AWAY_SECONDS
            log.warning("limits_not_counted", seconds=AWAY_SECONDS, error=str(error))
            return None
