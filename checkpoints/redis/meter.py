"""Measuring what the saver asks of Redis: for whoever counts it."""

from typing import Any, Protocol

from everturn.checkpoints.redis.calls import Call


class Meter(Protocol):
    """Is called for each call of a script that was answered."""

    def checkpoint_called(self, operation: str, seconds: float, sent: int, received: int) -> None:
        """Count a call: the script's name, how long it took, and bytes there and back."""
        ...


def sent_bytes(call: Call) -> int:
    """Return how many bytes the arguments of a call have; numbers and keys count for nothing."""
    return sum(len(each) for each in call.args if isinstance(each, str | bytes))


def received_bytes(reply: Any) -> int:
    """Return how many bytes a reply has, in whatever lists they are."""
    if isinstance(reply, bytes):
        return len(reply)
    return sum(map(received_bytes, reply)) if isinstance(reply, list) else 0
