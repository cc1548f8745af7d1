"""Bodies that announce themselves as too large are refused before they are read.

Starlette counts the bytes of the others, but would refuse these in plain text.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from everturn.server.api.http.problems import content_too_large, problem_response


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
