"""Routes that a project closes: `http.disable_…` of `langgraph.json`.

LangGraph's keys name LangGraph's routes. The doors of this service's own lead to the same things,
so a key closes them, too: who disables runs wants nobody to start one, by whichever route.
"""

import re
from collections.abc import Mapping
from copy import copy

from fastapi import APIRouter

from everturn.server.projects.config import Http

_OF_A_THREAD = r"/threads/\{\w+\}"
_CLOSES: Mapping[str, str] = {
    "disable_assistants": r"/assistants(/.*)?",
    # Runs on threads have a key of their own. A chat session is a thread.
    "disable_threads": rf"(?!{_OF_A_THREAD}/runs(/|$))/threads(/.*)?|/api/(chat|users)(/.*)?",
    "disable_runs": r"/runs(/.*)?|/invoke|/stream|/api/chat/.*"
    rf"|{_OF_A_THREAD}/(runs(/.*)?|stream(/.*)?|commands)",
    "disable_store": r"/store(/.*)?|/api/memories(/.*)?",
    "disable_meta": r"/info|/metrics|/docs(/.*)?"
    r"|/api/(tools|usage|now(/.*)?|chat/models|webhooks(/.*)?)",
    "disable_mcp": r"/mcp(/.*)?",
    "disable_a2a": r"/a2a(/.*)?|/\.well-known/agent-card\.json",
    "disable_ui": r"/ui(/.*)?|/page(/.*)?",
}


def without_closed(router: APIRouter, http: Http) -> APIRouter:
    """Return a router without the routes that a project closes."""
    closed = [re.compile(path) for key, path in _CLOSES.items() if getattr(http, key)]
    if not closed:
        return router
    left = copy(router)
    left.routes = [
        route
        for route in router.routes
        if not any(path.fullmatch(getattr(route, "path", "")) for path in closed)
    ]
    return left
