"""What a thread takes in Redis: of its checkpoints, its channels' values, and what is pending.

Counted are names and values as they are stored; what the server needs beside them is not. A chunk
is stored once, however many values stand on it, and counted once: for a channel if one of its
values does (for the first of several, by name), else for the checkpoints, else for the writes.
"""

from collections.abc import Iterator
from typing import NamedTuple

from everturn.checkpoints.redis.address import Address
from everturn.checkpoints.redis.calls import Operation, Threads
from everturn.checkpoints.redis.keyspace import BLOB, CHECKPOINT, WRITE, untext

# Fields and chunks after which a page ends: the server does nothing else meanwhile.
_PAGE = 10_000
_NAME_SIZE = 16
_LENGTH_SIZE = 8
_FIRST_TO_LAST = (BLOB, CHECKPOINT, WRITE)
"""For whom a chunk counts."""


class Section(NamedTuple):
    """How many values there are, and what they take."""

    rows: int = 0
    bytes: int = 0

    def plus(self, rows: int, size: int) -> "Section":
        """Return it with more."""
        return Section(self.rows + rows, self.bytes + size)


class ThreadStorage(NamedTuple):
    """What a thread takes; nothing where it has no checkpoints."""

    checkpoints: Section
    channels: dict[str, Section]
    """The values by channel, those of all namespaces together."""
    pending: Section
    """Writes of tasks, and answers of tool calls, of steps that are not stored yet."""


def storage(threads: Threads, thread_id: str) -> Operation[ThreadStorage]:
    """Adds up a thread: one trip, or for a long one several, for the sake of other callers.

    While it changes, the figures are of about that time.
    """
    found: dict[tuple[int, str], Section] = {}
    counts_for: dict[bytes, tuple[int, str]] = {}
    sizes: dict[bytes, int] = {}
    cursor: bytes | None = None
    while cursor != b"0":
        reply = yield threads.call(
            "storage", Address(str(thread_id)), cursor or 0, _PAGE, use=False
        )
        cursor, groups = reply
        for letter, channel, rows, size, chunks in groups:
            group = _FIRST_TO_LAST.index(letter), untext(channel)
            found[group] = found.get(group, Section()).plus(rows, size)
            for chunk, length in _sizes_in(chunks):
                sizes[chunk] = length
                counts_for[chunk] = min(group, counts_for.get(chunk, group))
    for chunk, group in counts_for.items():
        found[group] = found[group].plus(0, sizes[chunk])
    return ThreadStorage(
        checkpoints=found.pop((1, ""), Section()),
        pending=found.pop((2, ""), Section()),
        channels={channel: found[group] for group in sorted(found) for _, channel in [group]},
    )


def _sizes_in(chunks: bytes) -> Iterator[tuple[bytes, int]]:
    step = _NAME_SIZE + _LENGTH_SIZE
    for at in range(0, len(chunks), step):
        yield chunks[at : at + _NAME_SIZE], int(chunks[at + _NAME_SIZE : at + step], 16)
