"""Who else may call: web pages of other origins.

Studio and other web applications call the service from their own origin. The origins that may are
a setting; by default Studio's, and pages of this machine. Studio sends JSON as `text/plain`, which
a browser lets any page send without asking; what other origins send was refused before: `hosts`.
"""

import re
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from everturn.server.api.http.problems import problem_of_status, problem_response
from everturn.server.projects.config import Cors
from everturn.server.settings import ServerSettings

ROUTES = ("/assistants", "/threads", "/runs", "/store")
"""Where Studio sends JSON as plain text."""
EXPOSED = (
    *("content-location", "location", "x-pagination-total", "x-pagination-next"),
    *("idempotent-replayed", "x-request-id", "ratelimit", "ratelimit-policy", "retry-after"),
)
"""What clients, LangGraph's among them, read in a browser."""


def allowed_origins(settings: ServerSettings, cors: Cors | None) -> str:
    """Return the pattern of the origins that may call.

    EVERTURN_CORS_ORIGINS, where it is set; else `http.cors` of the project; else the default.
    """
    if cors is None or "cors_origins" in settings.model_fields_set:
        return origin_pattern(settings.cors_origins)
    said = [] if cors.allow_origins is None else [origin_pattern(",".join(cors.allow_origins))]
    if cors.allow_origin_regex is not None:
        said.append(f"(?:{cors.allow_origin_regex})")
    return "|".join(said) or origin_pattern(settings.cors_origins)


def cors_options(origins: str, cors: Cors | None) -> dict[str, Any]:
    """Return the options of Starlette's CORS middleware that let pages of these origins call.

    From public into private networks too; `origins` is what `allowed_origins` makes.
    """
    said = cors or Cors()
    return {
        "allow_origin_regex": origins,
        "allow_methods": ["*"] if said.allow_methods is None else said.allow_methods,
        "allow_headers": ["*"] if said.allow_headers is None else said.allow_headers,
        "allow_credentials": bool(said.allow_credentials),
        "expose_headers": [*EXPOSED, *(said.expose_headers or ())],
        "max_age": 600 if said.max_age is None else said.max_age,
        "allow_private_network": True,
    }


def origin_pattern(origins: str) -> str:
    """Make one pattern of a comma-separated list; `*` stands for any part of a host or port."""
    listed = [origin.strip().rstrip("/") for origin in origins.split(",") if origin.strip()]
    patterns = [re.escape(origin).replace(r"\*", "[^/]*") for origin in listed]
    if "*" in listed:
        return ".*"
    return "|".join(patterns) or "(?!)"  # which matches nothing


class PageOrigins(CORSMiddleware):
    """Starlette's middleware for pages of other origins; what it refuses is a problem, too."""

    @override
    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return answer
        detail = (
            f"{bytes(answer.body).decode()}: EVERTURN_CORS_ORIGINS, or http.cors of "
            "langgraph.json, says what pages of other origins may ask."
        )
        refusal = problem_response(problem_of_status(answer.status_code, detail))
        for name, value in answer.headers.items():
            if not name.startswith("content-"):
                refusal.headers[name] = value
        return refusal


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
