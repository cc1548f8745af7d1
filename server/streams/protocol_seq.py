"""Numbers of the event protocol: one that grows from run to run, and within each."""

from datetime import UTC, datetime
from uuid import UUID

_SINCE = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000)
_BITS = 14
"""Of the events of one millisecond; all together fit into a number of JavaScript's."""


def base(run_id: str) -> int:
    """Return the number before a run's first event, of the time in its id (a UUIDv7)."""
    return ((UUID(run_id).int >> 80) - _SINCE) << _BITS
