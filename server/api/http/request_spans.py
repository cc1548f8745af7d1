"""The span of each request, where traces are made; named by its route, not by its path."""

from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from everturn.server.api.http.mount_prefix import PROBES

if TYPE_CHECKING:
    from everturn.server.observe.otel.traces import Traces


class RequestSpans:
    """Middleware: makes a span of each request, but for those of probes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        traces: Traces | None = None
        if scope["type"] == "http" and scope["path"] not in PROBES:
            traces = getattr(scope["app"].state, "traces", None)
        if traces is None:
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        with traces.request(Headers(scope=scope), method, _about(scope)) as span:

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.answered(message["status"])
                await send(message)

            try:
                await self.app(scope, receive, watched)
            except Exception as error:
                span.failed(type(error).__name__)
                raise
            finally:
                if route := getattr(scope.get("route"), "path", None):
                    span.routed(method, route)


def _about(scope: Scope) -> dict[str, Any]:
    """What is known of a request before it is answered; not its query, which may hold anything."""
    server, client = scope.get("server") or (None, None), scope.get("client")
    found = {
        "http.request.method": scope["method"],
        "url.path": scope["path"],
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
        "server.address": server[0],
        "server.port": server[1],
        "client.address": client[0] if client else None,
        "user_agent.original": Headers(scope=scope).get("user-agent"),
    }
    return {key: value for key, value in found.items() if value is not None}
