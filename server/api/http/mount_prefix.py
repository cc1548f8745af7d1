"""All routes below a path: `http.mount_prefix` of `langgraph.json`.

Addresses inside answers stay without it, as LangGraph's clients join them to the URL they have.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from everturn.server.api.http.in_process import IN_PROCESS
from everturn.server.api.http.problems import Problem, problem_response

PROBES = frozenset({"/ok", "/ready", "/metrics"})
"""What machines ask without knowing the prefix."""


class MountPrefix:
    """Middleware: serves what is below a prefix as if nothing were before it."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The project itself asks for routes as it names them, without the prefix.
        if scope["type"] == "lifespan" or scope.get(IN_PROCESS):
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        below = path.removeprefix(self._prefix) if path.startswith(f"{self._prefix}/") else ""
        # Routers take `root_path` off a path once more: what every other part takes for
        # `/api/threads` must not become `/threads` for them.
        if below and not f"{below}/".startswith(f"{self._prefix}/"):
            scope = {**scope, "path": below, "raw_path": below.encode(), "root_path": self._prefix}
            await self.app(scope, receive, send)
        elif path in PROBES:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            detail = f"Not Found: {scope['method']} {path}; the routes are below {self._prefix}."
            problem = Problem(type="not-found", title="Not Found", status=404, detail=detail)
            await problem_response(problem)(scope, receive, send)
