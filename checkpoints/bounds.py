"""How much one list may hold in memory, said once: of rows, of states, of items."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from everturn.checkpoints.errors import ListTooLarge

MAX_LIST_BYTES = 32 * 2**20
"""As they are stored. In memory a list comes to two or three times that, its answer included."""


@dataclass(slots=True)
class Read:
    """What was read of checkpoints, in bytes."""

    size: int = 0


_read: ContextVar[Read | None] = ContextVar("everturn_read", default=None)


@contextmanager
def measured(read: Read) -> Iterator[None]:
    """Add to `read` the values of checkpoints that this task reads in the block."""
    token = _read.set(read)
    try:
        yield
    finally:
        _read.reset(token)


def add_read(size: int) -> None:
    """Say that a value of so many bytes was read."""
    if (read := _read.get()) is not None:
        read.size += size


def check_size(size: int) -> None:
    """Refuse a list that holds so many bytes.

    Raises:
        ListTooLarge: it is too large; the text says what to do.
    """
    if size > MAX_LIST_BYTES:
        raise ListTooLarge(
            f"What is asked for comes to more than {MAX_LIST_BYTES // 2**20} MB at once: ask for "
            "fewer with `limit`, or for less of each with `select` where there is one."
        )
