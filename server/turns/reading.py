"""What can be said of a state that cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager

from everturn.checkpoints.errors import (
    ListTooLarge,
    StaleWriter,
    StoreMisconfigured,
    StoreUnavailable,
    ThreadBusy,
    ValueRefused,
)
from everturn.server.errors import RunError, StateUnreadable, message_of

_NOT_OF_THE_STATE = (
    RunError,
    ListTooLarge,
    StoreUnavailable,
    StoreMisconfigured,
    StaleWriter,
    ThreadBusy,
    ValueRefused,
)


@contextmanager
def reading(thread_id: str) -> Iterator[None]:
    """Blame a thread's state for what reading it raises; trouble of the stores is not its fault.

    Two writes to a channel that takes one, a value of a serializer that is not used any more, a
    graph that has changed since: its own code says what, so it may be any exception.

    Raises:
        StateUnreadable: saying why, and what to do.
    """
    try:
        yield
    except _NOT_OF_THE_STATE:
        raise
    except Exception as error:
        raise StateUnreadable(
            f"The state of the thread {thread_id} cannot be read: {_text(error)} "
            f"Write it anew (POST /threads/{thread_id}/state), run its graph on it again, or "
            "delete the thread."
        ) from error


def _text(error: Exception) -> str:
    """Only the first line: the rest is where LangGraph explains the error."""
    try:
        text = message_of(error).partition("\n")[0]
    except Exception:  # of its own `__str__`
        text = ""
    text = text or type(error).__name__
    return text if text.endswith(".") else f"{text}."
