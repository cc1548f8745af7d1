"""LangGraph's stream on the wire: `event`, `data`, and an `id` where it can be resumed.

As many events as there are leave in one write; where there are none, a comment says so. Source: the
frames that LangGraph's own server sends, and what its SDKs read.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing

from starlette.responses import StreamingResponse

from everturn.server.streams.feed import Event
from everturn.server.streams.thread import ThreadEvent

_HEARTBEAT = b": heartbeat\r\n\r\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def frame(event: Event | ThreadEvent, *, with_id: bool) -> bytes:
    """One event as bytes."""
    here = event.cursor if with_id else None
    place = b"id: %s\r\n" % str(here).encode() if here is not None else b""
    return b"event: %s\r\ndata: %s\r\n%s\r\n" % (event.name.encode(), event.data, place)


class FrameStream(StreamingResponse):
    """Streams events as they come.

    Args:
        events: what is streamed.
        with_ids: the client may come back and name the last event it got.
        headers: where the run is, for a client that comes back.
        on_leave: called if the client leaves before the end.
    """

    def __init__(
        self,
        events: AsyncGenerator[list[Event]] | AsyncGenerator[list[ThreadEvent]],
        *,
        with_ids: bool,
        headers: Mapping[str, str],
        on_leave: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            _frames(events, with_ids, on_leave),
            media_type="text/event-stream; charset=utf-8",
            headers={**_HEADERS, **headers},
        )


async def _frames(
    events: AsyncGenerator[list[Event]] | AsyncGenerator[list[ThreadEvent]],
    with_ids: bool,
    on_leave: Callable[[], None] | None,
) -> AsyncIterator[bytes]:
    ended = False
    try:
        async with aclosing(events):
            async for news in events:
                yield b"".join([frame(event, with_id=with_ids) for event in news]) or _HEARTBEAT
        ended = True
    finally:
        if on_leave is not None and not ended:
            on_leave()
