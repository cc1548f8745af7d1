"""Where a turn writes: before each command to Redis and behind its answer, around each commit.

A process that patched itself so ends at the n-th of these places, as if it was killed there.
"""

import os
import sys
from types import FrameType
from typing import Any

from redis.asyncio.connection import AbstractConnection

from everturn.checkpoints.sql.database import Database

DIED = 9


class Boundaries:
    """Counts the places that are passed, and ends the process at one of them."""

    def __init__(self) -> None:
        self.passed = 0
        self.die_at = 0
        """0 counts nothing."""
        self.name = ""

    def arm(self, die_at: int) -> None:
        """Count from now on."""
        self.passed, self.die_at = 0, die_at

    def passes(self, when: str, what: str = "") -> None:
        """Be at a place; the process may end here."""
        if not self.die_at:
            return
        self.passed += 1
        if self.passed == self.die_at:
            self.name = f"{when} {what}: {_writer()}"
            self.last_words()
            os._exit(DIED)

    def last_words(self) -> None:
        """What is said before the end; whoever wants to know replaces it."""


def patch(places: Boundaries) -> None:
    """Pass a place before and after whatever this process writes, for the rest of its life."""
    send, receive, write = (
        AbstractConnection.send_packed_command,
        AbstractConnection.read_response,
        Database.write,
    )
    asked: set[int] = set()

    async def sending(self: Any, *args: Any, **kwargs: Any) -> None:
        places.passes("before", *map(_command, args[:1]))
        asked.add(id(self))
        await send(self, *args, **kwargs)

    async def receiving(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = await receive(self, *args, **kwargs)
        if id(self) in asked:  # once for a pipeline
            asked.discard(id(self))
            places.passes("after", "the answer of Redis")
        return answer

    async def writing(self: Any, *args: Any, **kwargs: Any) -> Any:
        places.passes("before", "commit")
        answer = await write(self, *args, **kwargs)
        places.passes("after", "commit")
        return answer

    AbstractConnection.send_packed_command = sending  # type: ignore[method-assign]
    AbstractConnection.read_response = receiving  # type: ignore[method-assign]
    Database.write = writing  # type: ignore[method-assign]


def _command(packed: Any) -> str:
    """The name of the first command of what is sent."""
    sent = packed if isinstance(packed, bytes | str) else b"".join(packed)
    words = (sent.encode() if isinstance(sent, str) else sent).split(b"\r\n", 3)
    return words[2].decode(errors="replace") if len(words) > 2 else ""


def _writer() -> str:
    """The functions of the service that write."""
    names: list[str] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and len(names) < 2:
        file = frame.f_code.co_filename
        ours = "/checkpoints/" in file or "/server/" in file
        if ours and "/site-packages/" not in file and not file.endswith("redis/connect.py"):
            names.append(frame.f_code.co_qualname)
        frame = frame.f_back
    return " < ".join(names) or "elsewhere"
