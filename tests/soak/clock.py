"""A process whose clock is behind the others': what it calls now was a while ago."""

import time


def set_behind(seconds: float) -> None:
    """Move this process's wall clock; its monotonic one stays. Before anything else is imported.

    `datetime.now` reads the system's clock and is not moved, ids are made of what is.
    """
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() - seconds
    time.time_ns = lambda: now_ns() - round(seconds * 1_000_000_000)
