"""Bodies that announce themselves as too large are refused before they are read.

Starlette counts the bytes of the others, but would refuse these in plain text.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.api.errors import Problem, problem_response


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
            problem = Problem(
                type="content-too-large",
                title="Content Too Large",
                status=413,
                detail=f"The body has {announced} bytes; at most {self.max_body_size} are taken.",
            )
            return await problem_response(problem)(scope, receive, send)
        return await self.app(scope, receive, send)
