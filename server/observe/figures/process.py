"""Figures of the processes themselves."""

import os
from pathlib import Path

from everturn.server.observe.figures.declare import Figures
from everturn.server.observe.memory import resident_bytes

_OPEN_FILES = Path("/proc/self/fd")


class ProcessFigures:
    """Of this process; of several workers the sum, and of the lag the longest."""

    def __init__(self, figures: Figures) -> None:
        self._memory = figures.gauge("everturn_resident_bytes", "Memory of the processes.")
        self._files = figures.gauge(
            "everturn_open_files", "Open files of the processes, connections included."
        )
        self.loop_lag = figures.gauge(
            "everturn_event_loop_lag_seconds",
            "How late the event loop was when it was last looked at, every 5 s.",
            of_all="livemax",
        )

    def look(self) -> None:
        """Measure this process, where the system is Linux."""
        if _OPEN_FILES.exists():
            self._memory.set(resident_bytes())
            self._files.set(len(os.listdir(_OPEN_FILES)))  # noqa: PTH208 - names alone, and fast
