"""Headers of a request as `configurable` values of the runs that it starts.

`http.configurable_headers` of `langgraph.json` says which; without it, none. The names are in
lower case, and what a client says in its config goes before them.
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from everturn.server.projects.config import Headers as Patterns
from everturn.server.runs.request import inherited

SECRET = frozenset(
    {"authorization", "x-api-key", "x-tenant-id", "x-service-key", "cookie", "proxy-authorization"}
)
"""Never taken: runs and checkpoints keep what is. The first four as with LangGraph's server."""
_OURS = re.compile(r"__.*|langgraph_auth_.*|checkpoint_.*|(thread|run|graph|assistant)_id")
"""Say where a run is and whose: no header does."""


class ConfigurableHeaders:
    """Middleware: what it takes of a request is there for `Runs.create`."""

    def __init__(self, app: ASGIApp, patterns: Patterns) -> None:
        self.app = app
        self._includes = _lower(patterns.includes)
        self._excludes = _lower(patterns.excludes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            inherited.set(self._chosen(Headers(scope=scope)))
        await self.app(scope, receive, send)

    def _chosen(self, headers: Headers) -> Mapping[str, str]:
        return {
            name: value
            for name, value in headers.items()
            if name not in SECRET
            and not _OURS.fullmatch(name)
            and _matches(name, self._includes)
            and not _matches(name, self._excludes)
        }


def _lower(patterns: Sequence[str] | None) -> list[str]:
    # Only `*` is special.
    return [each.lower().replace("[", "[[]").replace("?", "[?]") for each in patterns or ()]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
