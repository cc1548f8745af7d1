"""An answer that is a problem; where nothing else is said of its request, the log says it."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.routing import Match
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from everturn.server.access.caller import current_caller
from everturn.server.observe.context import caller_hash
from everturn.server.observe.turns import report_refusal


class ProblemResponse(JSONResponse):
    """Problem details, RFC 9457."""

    media_type = "application/problem+json"

    def __init__(
        self, problem: dict[str, Any], headers: Mapping[str, str], *, of_turn: bool
    ) -> None:
        """Take a problem as it is sent; one `of_turn` says how a turn ended, which has its line."""
        super().__init__(problem, problem["status"], headers)
        self._problem, self._of_turn = problem, of_turn

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._of_turn and "app" in scope:
            self._report(scope)
        await super().__call__(scope, receive, send)

    def _report(self, scope: Scope) -> None:
        app, client = _app_of(scope), scope.get("client")
        service = getattr(app.state, "service", None)
        report_refusal(
            service and service.metrics,
            endpoint=_route(app, scope),
            http_status=self.status_code,
            kind=self._problem["type"],
            error_id=self._problem.get("error_id"),
            caller=caller_hash(current_caller()),
            address=client[0] if client else None,
        )


def _app_of(scope: Scope) -> Any:
    _, app = scope.get("everturn") or (None, scope["app"])  # see `users_app`
    return app


def _route(app: Any, scope: Scope) -> str | None:
    """Return the route that was asked, though the request may not have come so far."""
    if route := getattr(scope.get("route"), "path", None):
        return str(route)
    routes = getattr(app.state, "routes", APIRouter()).routes
    matches = (each for each in routes if each.matches(scope)[0] is not Match.NONE)
    return getattr(next(matches, None), "path", None)
