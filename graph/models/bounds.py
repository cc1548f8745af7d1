"""How much a provider may send: bytes, packed or not, in one answer and in one event of it.

What a provider sends is kept until it can be read, so that without an end it would fill the memory.
Packed, a few kilobytes can be gigabytes: they are unpacked piece by piece, and packed only once.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from everturn.graph.models.failures import CallFailed, Failure

if TYPE_CHECKING:
    import httpx2

ACCEPTED = "gzip, deflate"
"""What a provider may pack an answer with: these can be unpacked piece by piece."""
_PACKED = {"", "identity", "gzip", "deflate"}
MAX_ANSWER = 64 * 2**20
"""Bytes of one answer. What surrounds a word in a stream has some hundred."""
MAX_REFUSAL = 2**18
"""Bytes of a text that says what is wrong with a request; the rest is left."""

_EVENTS = 8
"""One event, or a line, may have so many times less than the whole."""
_PIECE = 2**18
_MAX_DEPTH = 64
"""Levels of JSON: code that walks it calls itself once for each."""


class Room:
    """The room that one answer has; it is not given back."""

    def __init__(self, size: int = MAX_ANSWER) -> None:
        self._size, self._taken, self._unread = size, 0, 0

    def take(self, piece: bytes) -> None:
        """Take the room of a piece.

        Raises:
            CallFailed: the answer is too large, or one event of it is.
        """
        self._taken += len(piece)
        end = max(piece.rfind(end) for end in (b"\n\n", b"\r\r", b"\n\r\n"))
        self._unread = len(piece) - end if end >= 0 else self._unread + len(piece)
        if self._taken > self._size or self._unread > max(self._size // _EVENTS, _PIECE):
            raise too_large(self._size)


def too_large(size: int) -> CallFailed:
    """Say that an answer is too large, and which setting that is."""
    said = (
        f"the answer is larger than {size} bytes, or an event of it is (EVERTURN_MAX_ANSWER_SIZE)"
    )
    return CallFailed(Failure("malformed", said))


async def unpacked(response: "httpx2.Response", room: Room) -> AsyncGenerator[bytes]:
    """Yield the bytes of a body as they come, unpacked in small pieces.

    Raises:
        CallFailed: they are packed in a way that was not asked for, or there is no more room.
    """
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in _PACKED:  # more than once, for instance
        detail = f"it is packed as {packing[:40]!r}, which was not asked for"
        raise CallFailed(Failure("malformed", "the provider's answer cannot be read", detail))
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            room.take(piece)
            yield piece
            if packing != "identity":  # there may be a thousand more of them in what has arrived
                await asyncio.sleep(0)


async def text_of(response: "httpx2.Response", limit: int = MAX_REFUSAL) -> str:
    """Read a body's first bytes, `limit` at most, as text."""
    found = bytearray()
    async with aclosing(unpacked(response, Room(2 * limit + _PIECE))) as pieces:
        async for piece in pieces:
            found += piece
            if len(found) >= limit:
                break
    return found[:limit].decode("utf-8", "replace")


def loads(text: str) -> Any:
    """Read JSON that is not nested too deeply to be looked through.

    Raises:
        ValueError: it is no JSON, or too deep.
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if text.count("[") + text.count("{") > _MAX_DEPTH and _is_deep(found, _MAX_DEPTH):
        raise ValueError("nested too deeply")
    return found


def _is_deep(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deep(each, levels - 1) for each in inside)
