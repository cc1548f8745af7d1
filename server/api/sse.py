"""Server-sent events: one shape for every stream of the service."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Receive, Scope, Send

from everturn.server.api.http.json import dumps

HEARTBEAT_SECONDS = 15
_LAST_WORD_SECONDS = 2


def event(name: str, data: Any) -> ServerSentEvent:
    """One event with a JSON payload."""
    return ServerSentEvent(data=dumps(data).decode(), event=name)


class EventStream(EventSourceResponse):
    """Streams events with heartbeats; a client that leaves closes `events`.

    Args:
        events: ends with its last event.
        grace: seconds a running stream may go on once the server is told to stop; by then the
            engine has ended its turn, and a last event says so.
    """

    def __init__(self, events: AsyncGenerator[ServerSentEvent], *, grace: float) -> None:
        super().__init__(
            events,
            ping=HEARTBEAT_SECONDS,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            shutdown_grace_period=grace + _LAST_WORD_SECONDS,
        )
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Left to itself, a generator whose reader is cancelled stays where it was, and its turn
        # runs on, until the garbage collector comes by.
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)
