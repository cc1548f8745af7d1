"""What nodes write down as they run, outside of every store: the first of the two accounts."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

VARIABLE = "SOAK_JOURNAL"


class Entry(NamedTuple):
    """A node, or a call of a tool, that began or ended."""

    at: float
    """Of the monotonic clock, which all processes of the machine share."""
    pid: int
    run_id: str
    attempt: int
    question: str
    node: str
    phase: str
    """`begin` or `end`."""


def note(run_id: str, attempt: int, question: str, node: str, phase: str) -> None:
    """Append an entry. One write is whole or absent, whenever its process is killed."""
    entry = Entry(time.monotonic(), os.getpid(), run_id, attempt, question, node, phase)
    line = "\t".join(map(str, entry)) + "\n"
    file = os.open(os.environ[VARIABLE], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read(file: Path, offset: int = 0) -> tuple[list[Entry], int]:
    """Return the entries from a place on, and the place behind them."""
    if not file.exists():
        return [], 0
    with file.open("rb") as opened:
        opened.seek(offset)
        text = opened.read()
    return list(_entries(text)), offset + len(text)


def _entries(text: bytes) -> Iterator[Entry]:
    for line in text.decode().splitlines():
        at, pid, run_id, attempt, question, node, phase = line.split("\t")
        yield Entry(float(at), int(pid), run_id, int(attempt), question, node, phase)
