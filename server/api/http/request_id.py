"""`X-Request-ID`: the one name that a client, proxies on the way and the log have for a request.

It is in each line of the log that the request leads to, those of a run that it starts among them.
A run that waits and is taken later, perhaps by another process, is no request's any more.
"""

import re
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

_NAME = b"x-request-id"
_SANE = re.compile(rb"[!-~]{1,128}")
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


class RequestId:
    """Middleware, the outermost: takes a client's id, if it is a sane one, or makes one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        request_id = _sent(scope) or uuid4().hex.encode()

        async def with_id(message: Message) -> None:
            if message["type"] in _STARTS:
                headers = message.get("headers", ())
                others = [header for header in headers if header[0].lower() != _NAME]
                message["headers"] = [*others, (_NAME, request_id)]
            await send(message)

        with bound_contextvars(request_id=request_id.decode()):
            await self.app(scope, receive, with_id)


def _sent(scope: Scope) -> bytes | None:
    sent = [value for name, value in scope["headers"] if name == _NAME]
    return sent[0] if len(sent) == 1 and _SANE.fullmatch(sent[0]) else None
