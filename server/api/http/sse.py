"""Server-sent events: the one way in which every stream of the service is written.

    event: name
    data: JSON on one line
    id: where the client may come back to, if it may

As many events as there are leave in one write. Where none come for some seconds, a comment keeps
the connection. A client that leaves closes the generator; one that only reads too slowly is dropped
by the server, and has not left: its run goes on, and it may come back. A service that stops lets a
stream end as its run does. Where the run goes on in another process, the client is sent the place
where it stands, an id without an event, and the connection is cut: clients take an end in good
order for the end of the run. The format: https://html.spec.whatwg.org/#server-sent-events.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from fastapi import Request
from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from everturn.checkpoints.errors import StoreUnavailable
from everturn.server.api.http.authentication import is_still_let_in
from everturn.server.api.http.deps import service_of
from everturn.server.api.http.hang_up import hang_up
from everturn.server.api.http.json import dumps
from everturn.server.streams.feed import Event
from everturn.server.streams.moved import Moved
from everturn.server.streams.thread import ThreadEvent

DROPPED = "everturn.dropped"
"""In the scope: says whether the server has ended the connection, of a client that did not read or
as it ends itself."""
HEARTBEAT = b": heartbeat\r\n\r\n"
_STANDS = b": goes on in another process: come back with Last-Event-ID\r\nid: %s\r\n\r\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_LAST_EVENT_SECONDS = 2
"""After the grace, in which turns are ended: for the event that says so."""


def frame(name: str, data: bytes, place: object = None) -> bytes:
    """Write one event; `data` is JSON, which has no line breaks."""
    here = b"" if place is None else b"id: %s\r\n" % str(place).encode()
    return b"event: %s\r\ndata: %s\r\n%s\r\n" % (name.encode(), data, here)


def frames(named: Iterable[tuple[str, Any]], place: object = None) -> bytes:
    """Write events of which the last one bears the place: there all of them have been read."""
    events = list(named)
    last = len(events) - 1
    return b"".join(
        frame(name, dumps(data), place if number == last else None)
        for number, (name, data) in enumerate(events)
    )


async def feed_frames(
    events: AsyncGenerator[list[Event]] | AsyncGenerator[list[ThreadEvent]], *, with_ids: bool
) -> AsyncGenerator[bytes]:
    """Write the events of a feed as LangGraph's clients read them."""
    async with aclosing(events):
        async for news in events:
            written = [frame(e.name, e.data, e.cursor if with_ids else None) for e in news]
            yield b"".join(written) or HEARTBEAT


async def while_let_in(request: Request, written: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Send a stream without an end as long as its client would be let in, and then hang up.

    The client comes back, and is told why it may not.
    """
    async with aclosing(written):
        async for each in written:
            if not await is_still_let_in(request.scope):
                hang_up(request.scope)
                return
            yield each


def was_dropped(request: Request) -> bool:
    """Whether the server has ended the connection, and not the client."""
    dropped: Callable[[], bool] = request.scope.get(DROPPED, lambda: False)
    return dropped()


class EventStream(EventSourceResponse):
    """Sends frames as they come.

    Args:
        request: what is answered.
        written: frames, or heartbeats; it is closed when the client leaves.
        headers: where the run is, for a client that comes back.
        on_leave: called if the client leaves before the end; not if it was dropped.
    """

    def __init__(
        self,
        request: Request,
        written: AsyncGenerator[bytes],
        *,
        headers: Mapping[str, str] | None = None,
        on_leave: Callable[[], None] | None = None,
    ) -> None:
        grace = service_of(request).settings.shutdown_grace
        super().__init__(
            self._watched(written),
            ping=0,  # the frames have heartbeats of their own
            headers={**_HEADERS, **(headers or {})},
            shutdown_grace_period=grace + _LAST_EVENT_SECONDS,
        )
        self._written = written
        self._scope = request.scope
        self._on_leave = on_leave
        self._dropped = partial(was_dropped, request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Left to itself, a generator whose reader is cancelled stays where it was until the
        # garbage collector comes by, and its run goes on.
        async with aclosing(self.body_iterator):  # type: ignore[type-var]  # it is `_watched`
            await super().__call__(scope, receive, send)

    async def _watched(self, written: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        ended = False
        try:
            async with aclosing(written):
                async for each in written:
                    yield each
            ended = True
        except Moved as moved:
            ended = True
            yield _STANDS % str(moved.place).encode()
            hang_up(self._scope)
        except StoreUnavailable:  # it follows a run elsewhere, whose client is to come back
            ended = True
            if not hang_up(self._scope):
                raise
        finally:
            if self._on_leave is not None and not (ended or self._dropped()):
                self._on_leave()
