"""Routes that a project closes: `http.disable_…` of `langgraph.json`.

LangGraph's keys name LangGraph's routes. The doors of this service's own lead to the same things,
so a key closes them, too: who disables runs wants nobody to start one, by whichever route.
"""

import re
from collections.abc import Mapping

from fastapi import FastAPI
from starlette.routing import BaseRoute

from everturn.server.projects.config import Http

_OF_A_THREAD = r"/threads/\{\w+\}"
_CLOSES: Mapping[str, str] = {
    "disable_assistants": r"/assistants(/.*)?",
    # Runs on threads have a key of their own. A chat session is a thread.
    "disable_threads": rf"(?!{_OF_A_THREAD}/runs(/|$))/threads(/.*)?|/api/chat/.*",
    "disable_runs": r"/runs(/.*)?|/invoke|/stream|/api/chat/.*"
    rf"|{_OF_A_THREAD}/(runs(/.*)?|stream(/.*)?|commands)",
    "disable_store": r"/store(/.*)?",
    "disable_meta": r"/|/openapi\.json|/docs(/.*)?|/redoc|/info|/metrics|/api/(models|tools)(/.*)?",
    "disable_mcp": r"/mcp(/.*)?",
    "disable_a2a": r"/a2a(/.*)?|/\.well-known/agent-card\.json",
    "disable_ui": r"/ui(/.*)?",
}


def close_routes(app: FastAPI, http: Http) -> None:
    """Take away the routes that a project closes; OpenAPI does not list them, either."""
    closed = [re.compile(path) for key, path in _CLOSES.items() if getattr(http, key)]
    if closed:
        app.router.routes[:] = [
            route
            for route in app.router.routes
            if not any(path.fullmatch(_path(route)) for path in closed)
        ]


def _path(route: BaseRoute) -> str:
    path: str = getattr(route, "path", "")
    return path
