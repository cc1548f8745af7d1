"""Reading a provider's stream: server-sent events as data, each awaited under a clock of ours."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graph.models.failures import CallFailed, Failure, failure_in

if TYPE_CHECKING:
    import httpx2

Chunk = dict[str, Any]
"""One `chat.completion.chunk` as it came."""

_DONE = b"[DONE]"
_LAST_BYTES = 0.1  # s; what is worth waiting for to save a new connection


@dataclass(slots=True)
class Clock:
    """When a call has failed: moments of the running loop's time, in seconds.

    Only what says something pushes it forward. Comments and empty chunks keep a connection alive,
    not a call: a provider may send them for ever.
    """

    stall: float
    """Seconds of silence after which an answer that has begun has failed."""
    end: float
    """The moment at which the call must have ended, whatever it says."""
    due: float
    """The moment at which something must have been said."""

    def heard(self) -> None:
        """Wait anew for the next piece."""
        self.due = asyncio.get_running_loop().time() + self.stall

    def running(self) -> asyncio.Timeout:
        """Bound one wait; raises TimeoutError."""
        return asyncio.timeout_at(min(self.due, self.end))


class Refused(Exception):
    """The provider answered with a status that is an error."""

    def __init__(self, response: "httpx2.Response", body: object) -> None:
        said = body.get("message") if isinstance(body, dict) else None
        super().__init__(f"HTTP {response.status_code}: {said or response.text}")
        self.status_code, self.response, self.body = response.status_code, response, body


async def refusal_of(response: "httpx2.Response") -> Refused:
    """Read what is wrong, `{"error": {"code", "message", …}}`, and close the response."""
    try:
        body = json.loads(await response.aread())
    except ValueError:
        body = None
    finally:
        await response.aclose()
    return Refused(response, body.get("error", body) if isinstance(body, dict) else body)


async def chunks_of(response: "httpx2.Response", clock: Clock) -> AsyncGenerator[Chunk]:
    """Yield the chunks that say something; close the response at the end.

    Raises:
        TimeoutError: silence, or out of time.
        CallFailed: what came is no stream, or the provider says in it that it has failed.
    """
    try:
        if "text/event-stream" not in response.headers.get("content-type", ""):
            async with clock.running():
                yield _whole(await response.aread())
            return
        # Closed here and now: a generator left to the collector may outlive its loop.
        async with aclosing(response.aiter_bytes()) as pieces:
            rest = b""
            while True:
                async with clock.running():
                    piece = await anext(pieces, None)
                *lines, rest = (rest + (b"\n" if piece is None else piece)).split(b"\n")
                for line in lines:
                    if not line.startswith(b"data:"):
                        continue
                    data = line[5:].strip()
                    if data == _DONE:
                        await _read_out(pieces)
                        return
                    chunk = _parsed(data)
                    if _says_something(chunk):
                        yield chunk
                        clock.heard()
                if piece is None:
                    return
    finally:
        await response.aclose()


async def _read_out(pieces: AsyncIterator[bytes]) -> None:
    """Read to the end of the body: only then the connection can be used again."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_BYTES):
            async for _ in pieces:
                pass


def _parsed(data: bytes) -> Chunk:
    try:
        chunk = json.loads(data)
    except ValueError:
        chunk = None
    if not isinstance(chunk, dict):
        raise CallFailed(Failure("malformed", "the provider's answer is not JSON"))
    if error := chunk.get("error"):
        raise CallFailed(failure_in(error if isinstance(error, dict) else {"message": str(error)}))
    return chunk


def _whole(body: bytes) -> Chunk:
    """Read an answer that was not streamed, though it was asked for, as one chunk."""
    completion = _parsed(body)
    for choice in completion.get("choices") or ():
        choice["delta"] = choice.pop("message", None)
        for index, call in enumerate((choice["delta"] or {}).get("tool_calls") or ()):
            call["index"] = index
    return completion


def _says_something(chunk: Chunk) -> bool:
    if chunk.get("usage"):
        return True
    choices = chunk.get("choices") or ()
    return any(
        choice.get("finish_reason")
        or any(value for name, value in (choice.get("delta") or {}).items() if name != "role")
        for choice in choices
    )
