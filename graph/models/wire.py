"""Reading a provider's response: JSON objects out of bytes, each awaited under a clock of ours."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from everturn.graph.models.bounds import MAX_ANSWER, Room, loads, text_of, unpacked
from everturn.graph.models.failures import (
    CallFailed,
    Failure,
    Kind,
    detail_of,
    error_in,
    failure_in,
)
from everturn.graph.models.reader import Chunk, Reader
from everturn.graph.models.sse import BOM, Decoder, Event

if TYPE_CHECKING:
    import httpx2

_LAST_BYTES = 0.1  # s; what is worth waiting for to save a new connection
_LAST_CHUNKS = 2.0  # s; after an answer's end: its usage may still come


@dataclass(slots=True)
class Clock:
    """When a call has failed: moments of the running loop's time, in seconds.

    Only what says something pushes it forward. Comments and empty chunks keep a connection alive,
    not a call: a provider may send them for ever.
    """

    stall: float
    """Seconds of silence after which an answer that has started has failed."""
    end: float
    """The moment at which the call must have ended, whatever it says."""
    patience: float
    """Seconds, from now, until something must have been said."""
    due: float = field(init=False)
    """The moment at which something must have been said."""
    started: bool = False
    """Something was said."""

    def __post_init__(self) -> None:
        self.due = asyncio.get_running_loop().time() + self.patience

    def push(self, seconds: float | None = None) -> None:
        """Wait anew for the next piece, `seconds` or as long as an answer may be silent."""
        self.started = True
        self.due = asyncio.get_running_loop().time() + (seconds or self.stall)

    def overrun(self) -> Failure:
        """Say which limit has ended the call, and how to change it."""
        kind: Kind = "stalled" if self.started else "timeout"
        if self.end < self.due:
            return Failure(kind, "the turn's time was up (EVERTURN_TURN_TIMEOUT)")
        if self.started:
            said = f"nothing more came for {self.stall:g} s (EVERTURN_STALL_TIMEOUT)"
            return Failure(kind, said)
        said = f"no first token within {self.patience:g} s (EVERTURN_FIRST_TOKEN_TIMEOUT)"
        return Failure(kind, said)

    def running(self) -> asyncio.Timeout:
        """Bound one wait; raises TimeoutError."""
        return asyncio.timeout_at(min(self.due, self.end))


class Refused(Exception):
    """The provider answered with a status that is an error."""

    def __init__(self, response: "httpx2.Response", body: object, text: str = "") -> None:
        said = body.get("message") if isinstance(body, dict) else None
        super().__init__(f"HTTP {response.status_code}: {said or text}")
        self.status_code, self.response, self.body = response.status_code, response, body


async def refusal_of(response: "httpx2.Response") -> Refused:
    """Read what is wrong, `{"error": {"code", "message", …}}`, and close the response."""
    try:
        text = _without_key(await text_of(response), response)
    finally:
        await response.aclose()
    try:
        body = loads(text)
    except ValueError:
        body = None
    return Refused(response, error_in(body) or body, text)


def redirected(response: "httpx2.Response") -> CallFailed:
    """Say that the provider is elsewhere; what people wrote is sent nowhere that was not named."""
    place = detail_of(response.headers.get("location", ""))
    said = f"the provider answers with a redirect (HTTP {response.status_code}), not followed: "
    said += "set EVERTURN_BASE_URL to where it leads"
    return CallFailed(Failure("not_found", said, place))


def _without_key(text: str, response: "httpx2.Response") -> str:
    """Mask the key that was sent, whatever it looks like: some providers repeat a wrong one."""
    key = response.request.headers.get("authorization", "").removeprefix("Bearer ")
    return text.replace(key, "…") if key else text


def _masked(error: Exception, response: "httpx2.Response") -> Exception:
    """Mask the key in what a provider said in the middle of an answer."""
    if isinstance(error, CallFailed):
        detail = _without_key(error.failure.detail, response)
        error.failure = replace(error.failure, detail=detail)
    return error


async def chunks_of(
    response: "httpx2.Response", clock: Clock, max_size: int = MAX_ANSWER
) -> AsyncGenerator[Chunk]:
    """Yield an answer in OpenAI's form, whatever its dialect; close the response at the end.

    Raises:
        TimeoutError: silence, or out of time.
        CallFailed: what came is no answer, or the provider says in it that it has failed.
    """
    reader = Reader()
    body = _Body(clock, reader)
    finishing = False
    try:
        # Closed here and now: a generator left to the collector may outlive its loop.
        async with aclosing(_pieces(response, clock, Room(max_size))) as pieces:
            async for piece in pieces:
                for each in body.feed(piece) if piece else body.close():
                    if chunk := reader.read(each):
                        clock.push()
                        yield chunk
                    elif reader.finish_reason and not finishing:
                        clock.push(_LAST_CHUNKS)  # once: empty chunks may come for ever
                        finishing = True
    except Exception as error:
        if not (reader.finish_reason or reader.ended):  # else everything was said before
            raise _masked(error, response) from error.__cause__
    finally:
        await response.aclose()
    for chunk in reader.close():
        yield chunk


async def _pieces(response: "httpx2.Response", clock: Clock, room: Room) -> AsyncGenerator[bytes]:
    """Yield the bytes of a body as they come, each awaited under the clock; nothing at its end."""
    async with aclosing(unpacked(response, room)) as pieces:
        piece: bytes | None = b""
        while piece is not None:
            async with clock.running():
                piece = await anext(pieces, None)
            if piece or piece is None:
                yield piece or b""


class _Body:
    """Takes the bytes of a body, and yields its JSON objects as they become complete.

    It is a stream of events or one JSON document. Its first character shows which: gateways send
    either under any content type.
    """

    def __init__(self, clock: Clock, reader: Reader) -> None:
        self._clock, self._reader = clock, reader
        self._start = b""
        """From the first byte on that is no white space."""
        self._begun = False
        self._document: list[bytes] = []
        self._decoder = Decoder()
        self._events = 0

    def feed(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """Yield what this piece completes."""
        if not self._begun:
            self._start = piece = (self._start + piece).removeprefix(BOM).lstrip()
            self._begun = bool(piece) and not BOM.startswith(piece)
            if not self._begun:
                return
        if self._start[:1] in {b"{", b"["}:
            self._document.append(piece)
        else:
            yield from self._said(self._decoder.feed(piece))

    def close(self) -> Iterator[dict[str, Any]]:
        """Yield what the end of the body completes."""
        if self._document:
            yield from _parsed(b"".join(self._document).decode("utf-8", "replace"))
            self._reader.ended = True
            return
        yield from self._said(self._decoder.close())
        if not self._events:
            raise _unreadable(self._start.decode("utf-8", "replace"))

    def _said(self, events: Iterator[Event]) -> Iterator[dict[str, Any]]:
        for event in events:
            self._events += 1
            data = event.data.strip()
            if data == "[DONE]":
                self._reader.ended = True
                self._clock.push(_LAST_BYTES)  # only a body read to its end frees its connection
            elif data:  # else a sign of life
                yield from _parsed(event.data, error=event.name == "error")


def _parsed(text: str, *, error: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON text, which may be a list of them; raise what says an error."""
    try:
        found = loads(text)
    except ValueError:
        if not error:
            raise _unreadable(text) from None
        found = text
    for each in found if isinstance(found, list) else [found]:
        said = error_in(each) or (each if error else None)
        if said:
            raise CallFailed(failure_in(said))
        if isinstance(each, dict):
            yield each


def _unreadable(text: str) -> CallFailed:
    return CallFailed(Failure("malformed", "the provider's answer cannot be read", detail_of(text)))
