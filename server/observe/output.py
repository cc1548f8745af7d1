"""Standard error for log lines: to write one never waits, and never fails.

A full disk, a closed pipe or a pipe without a reader would otherwise cost the answer that the line
is about. A thread of its own writes the lines. Those that it cannot write are counted, and the
count is written as soon as that is possible again.
"""

import atexit
import json
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from queue import Full, Queue
from threading import Event, Lock, Thread
from typing import TextIO

_MAX_LINES = 5_000
"""Lines that wait to be written; while no one reads, those beyond are lost."""


class LineWriter:
    """Writes whole lines to a stream from a thread of its own; it looks like a text file."""

    def __init__(self, stream: TextIO | None) -> None:
        """Write to a stream; `None`, as for a process without standard error, writes nowhere."""
        self.terminal = stream is not None and not stream.closed and stream.isatty()
        self._write = _writer_to(stream)
        self._lines: Queue[str | Event] = Queue(_MAX_LINES)
        self._lost = 0
        self._counting = Lock()
        Thread(target=self._write_lines, name="log lines", daemon=True).start()

    def write(self, line: str) -> int:
        """Have a line written, soon."""
        try:
            self._lines.put_nowait(line)
        except Full:
            self._count_lost(1)
        return len(line)

    def flush(self) -> None:
        """Do nothing: a file has this method, and `drain` is the one that waits."""

    def drain(self, seconds: float = 1.0) -> None:
        """Wait until all lines are written, but no longer than `seconds`."""
        written = Event()
        with suppress(Full):
            self._lines.put(written, timeout=seconds)
            written.wait(seconds)

    def _write_lines(self) -> None:
        while True:
            line = self._lines.get()
            if isinstance(line, Event):
                line.set()
                continue
            try:
                if lost := self._lost:
                    note = {"event": "log_lines_lost", "level": "warning", "lines": lost}
                    self._write(f"{json.dumps(note)}\n")
                    self._count_lost(-lost)
                self._write(line)
            except Exception:  # a stream that is no file may raise anything
                self._count_lost(1)

    def _count_lost(self, lines: int) -> None:
        with self._counting:
            self._lost += lines


def keep_standard_files() -> None:
    """Open those of 0, 1 and 2 that the process was started without, on nothing.

    A database or a connection would get the number otherwise, and what any library prints.
    libuv ends the process when it closes such a one (uv__close in src/unix/core.c).
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


@cache
def standard_error() -> LineWriter:
    """The process's standard error, as it is at the first call."""
    writer = LineWriter(sys.stderr)
    atexit.register(writer.drain)
    return writer


def _writer_to(stream: TextIO | None) -> Callable[[str], object]:
    """Return what writes a text; past the stream's buffer, which would fail once more at exit."""
    if stream is None or stream.closed:
        return lambda text: None
    try:
        # Its own: 2 may be closed meanwhile, and be the number of a connection.
        descriptor = os.dup(stream.fileno())
    except OSError:  # no file
        return stream.write

    def write(text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:  # the process that started us made it non-blocking
                select.select([], [descriptor], [])

    return write
