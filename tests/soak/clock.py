"""A process whose clock is behind the others': what it calls now was a while ago."""

import time
from uuid import UUID


def set_behind(seconds: float) -> None:
    """Move what ids are made of in this process: its wall clock. The monotonic one stays."""
    from langchain_core.utils import uuid

    now, now_ns, made = time.time, time.time_ns, uuid._uuid_utils_uuid7  # type: ignore[attr-defined]

    def uuid7(timestamp: int | None = None, nanos: int | None = None) -> UUID:
        if timestamp is None:
            timestamp, nanos = divmod(time.time_ns(), 1_000_000_000)
        found: UUID = made(timestamp=timestamp, nanos=nanos)
        return found

    time.time = lambda: now() - seconds
    time.time_ns = lambda: now_ns() - round(seconds * 1_000_000_000)
    uuid._uuid_utils_uuid7 = uuid7  # type: ignore[attr-defined]
