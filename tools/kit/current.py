"""What a tool may ask about the call that it executes."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class CurrentCall:
    """The call that is executed."""

    idempotency_key: str
    """See `idempotency_key`."""
    attempt: int = 1
    """See `attempt`."""
    keep: bool = True
    """The result may be kept in the cache."""


CURRENT: ContextVar[CurrentCall | None] = ContextVar("current_tool_call", default=None)


def idempotency_key() -> str | None:
    """Return a key that names this call, and is the same if the call is executed again.

    A process can die after a tool has done its work and before that is stored; the call is then
    made once more. A tool that must not do its work twice (send, pay, book) hands this key to
    the service that does the work, or looks it up first.

    Returns:
        32 hexadecimal digits; `None` outside of a call.
    """
    call = CURRENT.get()
    return call.idempotency_key if call else None


def attempt() -> int:
    """Return how often this call may have been made by now: 1, unless a process died in it."""
    call = CURRENT.get()
    return call.attempt if call else 1


def do_not_cache() -> None:
    """Keep the result of this call out of the cache, for instance because it is incomplete."""
    call = CURRENT.get()
    if call:
        call.keep = False
