"""Figures of the processes themselves."""

import os
from pathlib import Path
from time import process_time

from everturn import __version__
from everturn.server.observe.figures.declare import Figures
from everturn.server.observe.memory import resident_bytes

_OPEN_FILES = Path("/proc/self/fd")


class ProcessFigures:
    """Of this process; of several workers the sum, and of the lag the longest."""

    def __init__(self, figures: Figures) -> None:
        processes = figures.gauge(
            "everturn_processes", "Processes of the service, by its version.", "version"
        )
        self._one = processes.labels(__version__)
        self._processor = figures.counter(
            "everturn_cpu_seconds_total", "Seconds that processors worked for the processes."
        )
        self._worked = 0.0
        self._memory = figures.gauge("everturn_resident_bytes", "Memory of the processes.")
        self._files = figures.gauge(
            "everturn_open_files", "Open files of the processes, connections included."
        )
        self._max_files = figures.gauge(
            "everturn_open_files_limit", "Files that the system lets the processes open, at most."
        )
        self.loop_lag = figures.gauge(
            "everturn_event_loop_lag_seconds",
            "How late the event loop was when it was last looked at, every 5 s.",
            of_all="livemax",
        )

    def look(self) -> None:
        """Measure this process; its memory and files where the system is Linux."""
        self._one.set(1)
        worked = process_time()
        self._processor.inc(worked - self._worked)
        self._worked = worked
        if _OPEN_FILES.exists():
            self._memory.set(resident_bytes())
            self._files.set(len(os.listdir(_OPEN_FILES)))  # noqa: PTH208 - names alone, and fast
            import resource  # Windows has none

            self._max_files.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
