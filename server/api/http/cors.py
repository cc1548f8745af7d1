"""Who else may call: web pages of other origins.

Studio and other web applications call the service from their own origin. The origins that may are
a setting; by default Studio's, and pages of this machine. Studio sends JSON as `text/plain`, which
a browser lets any page send without asking; what other origins send was refused before: `hosts`.
"""

import re
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

ROUTES = ("/assistants", "/threads", "/runs", "/store")
"""Where Studio sends JSON as plain text."""


def cors_options(origins: str) -> dict[str, Any]:
    """Return the options of Starlette's CORS middleware that let pages of these origins call.

    From public into private networks too; `origins` is what `origin_pattern` makes.
    """
    return {
        "allow_origin_regex": origins,
        "allow_methods": ["*"],
        "allow_headers": ["*"],
        "expose_headers": [
            "content-location",
            "location",
            "x-pagination-total",
            "x-pagination-next",
        ],
        "allow_private_network": True,
    }


def origin_pattern(origins: str) -> str:
    """Make one pattern of a comma-separated list; `*` stands for any part of a host or port."""
    listed = [origin.strip().rstrip("/") for origin in origins.split(",") if origin.strip()]
    patterns = [re.escape(origin).replace(r"\*", "[^/]*") for origin in listed]
    if "*" in listed:
        return ".*"
    return "|".join(patterns) or "(?!)"  # which matches nothing


class PlainTextJson:
    """Middleware: reads a body of the Agent Server API as JSON where it says it is plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(ROUTES) and _is_text(scope):
            headers = MutableHeaders(raw=list(scope["headers"]))
            headers["content-type"] = "application/json"
            scope = {**scope, "headers": headers.raw}
        await self.app(scope, receive, send)


def _is_text(scope: Scope) -> bool:
    content_type = Headers(scope=scope).get("content-type", "text/plain")
    return content_type.lower().startswith("text/plain")
