"""Bodies that announce themselves as too large are refused before they are read.

Starlette counts the bytes of the others, but would refuse these in plain text. A caller's own limit
counts from when it is known who asks: it can only be smaller.
"""

from starlette.datastructures import Headers
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY, RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from everturn.server.access.allowance import allowance_of
from everturn.server.access.caller import current_caller
from everturn.server.api.http.problems import Problem, content_too_large, problem_response


class AnnouncedBodyLimit:
    """Middleware: answers 413 to a `Content-Length` over the limit."""

    def __init__(self, app: ASGIApp, max_body_size: int) -> None:
        self.app = app
        self.max_body_size = max_body_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = (
            Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        )
        if announced.isdecimal() and int(announced) > self.max_body_size:
            refusal = problem_response(content_too_large(self.max_body_size))
            return await refusal(scope, receive, send)
        return await self.app(scope, receive, send)


class CallersBodyLimit:
    """Middleware: keeps to the limit of who asks, where they have one. It stands behind both."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = allowance_of(current_caller()).max_body_size
        if scope["type"] != "http" or own is None:
            return await self.app(scope, receive, send)
        most = min(own, scope[MAX_BODY_SIZE_SCOPE_KEY])
        # Starlette's counts what `Authentication` has read, too: it lowers the limit of the outer.
        limited = AnnouncedBodyLimit(RequestBodyLimitMiddleware(self.app, most), most)
        return await limited(scope, receive, send)


def refused_message(message: bytes) -> Problem | None:
    """Say why a message of a WebSocket is too large for who sends it, where it is."""
    own = allowance_of(current_caller()).max_body_size
    return content_too_large(own) if own is not None and len(message) > own else None
