"""LangGraph's stream on the wire: `event`, `data`, and an `id` where it can be resumed.

As many events as there are leave in one write. Heartbeats are comments. Source: the frames that
LangGraph's own server sends, and what its SDKs read.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from starlette.responses import StreamingResponse

from server.runs.feed import Event

HEARTBEAT_SECONDS = 5.0
_HEARTBEAT = b": heartbeat\r\n\r\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def frame(event: Event, *, with_id: bool) -> bytes:
    """One event as bytes."""
    place = b"id: %s\r\n" % str(event.cursor).encode() if with_id else b""
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
        events: AsyncIterator[list[Event]],
        *,
        with_ids: bool,
        headers: Mapping[str, str],
        on_leave: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(
            _frames(events, with_ids, on_leave),
            media_type="text/event-stream; charset=utf-8",
            headers={**_HEADERS, **headers},
        )


async def _frames(
    events: AsyncIterator[list[Event]],
    with_ids: bool,
    on_leave: Callable[[], Awaitable[None]] | None,
) -> AsyncIterator[bytes]:
    ended = False
    coming: asyncio.Future[list[Event] | None] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(_next(events))
            await asyncio.wait({coming}, timeout=HEARTBEAT_SECONDS)
            if not coming.done():
                yield _HEARTBEAT
                continue
            news = coming.result()
            coming = None
            if news is None:
                break
            yield b"".join([frame(event, with_id=with_ids) for event in news])
        ended = True
    finally:
        if coming is not None:
            coming.cancel()
        if on_leave is not None and not ended:
            await on_leave()


async def _next(events: AsyncIterator[list[Event]]) -> list[Event] | None:
    return await anext(events, None)
