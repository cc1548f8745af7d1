"""The routes of one's own: `http.app` of `langgraph.json` around the service.

As with LangGraph's server, the routes of that app come first, and its middleware sees every
request; only what operators and tools rely on, `ALWAYS_OURS`, it cannot take.
"""

from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from everturn.server.errors import ConfigError

ALWAYS_OURS = frozenset({"/ok", "/ready", "/metrics", "/docs", "/openapi.json"})


class AroundTheService:
    """Middleware, the outermost: lets the user's app answer, whose last route is the service."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        users = getattr(scope["app"].state, "users_app", None)
        if users is None or scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        scope["everturn"] = self.app, scope["app"]
        scope["state"] = dict(scope["app"].state.users_state)
        await users(scope, receive, send)


async def _service(scope: Scope, receive: Receive, send: Send) -> None:
    """Go on to the service, as if nothing had stood before it."""
    app, scope["app"] = scope.pop("everturn")
    for trace in ("router", "route", "endpoint"):
        scope.pop(trace, None)
    await app(scope, receive, send)


def surround(app: Any, where: str, behind: Middleware | None = None) -> Starlette:
    """Put the service behind the routes of an app.

    Args:
        app: what the project names.
        where: names it in errors: file and key.
        behind: stands behind the app's own middleware, before its routes.

    Raises:
        ConfigError: it is no Starlette or FastAPI app.
    """
    if not isinstance(app, Starlette):
        raise ConfigError(f"{where}: is a {type(app).__name__}, not a FastAPI or Starlette app.")
    # Another service of this process may stand behind it already.
    app.router.routes[:] = own_routes(app)
    reserved = ("/docs/oauth2-redirect", "/redoc", *ALWAYS_OURS)
    app.router.routes[:] = [
        route
        for route in app.router.routes
        if not (isinstance(route, Route) and route.path in reserved and _reads(route))
    ]
    app.router.routes.append(Mount("", app=_service))
    if behind is not None:
        app.user_middleware.append(behind)
    return app


def own_routes(app: Starlette) -> list[BaseRoute]:
    """Return the routes of an app, without the service behind them."""
    return [
        route
        for route in app.router.routes
        if not (isinstance(route, Mount) and route.app is _service)
    ]


def _reads(route: Route) -> bool:
    return route.methods is None or "GET" in route.methods


def document_users_routes(document: dict[str, Any], users: object) -> None:
    """Add the routes of a FastAPI app to the service's OpenAPI document."""
    if not isinstance(users, FastAPI):
        return
    theirs = users.openapi()
    document["paths"] = {**document["paths"], **theirs.get("paths", {})}
    ours = document.setdefault("components", {})
    for kind, named in theirs.get("components", {}).items():
        ours[kind] = {**named, **ours.get(kind, {})}
