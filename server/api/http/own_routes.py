"""Webhooks with a path for an address, `/done`, go to the routes of the project's own app.

They never reach the service's routes: whoever may start a run could otherwise ask them for
anything. For the same reason they come without a user: a route that demands one refuses them.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Match

from everturn.server.api.http.in_process import Exchange
from everturn.server.api.http.users_app import own_routes
from everturn.server.errors import InvalidInput


class Elsewhere(Protocol):
    """How other addresses are reached."""

    async def check(self, url: str) -> None:
        """Raise where an address may not be called."""
        ...

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a body; raises where it did not arrive."""
        ...


class NotTaken(Exception):
    """A route of the project's own answered a webhook with an error."""


class OwnRoutes:
    """Where webhooks go: to the project's own routes, or out into the world."""

    def __init__(self, app: FastAPI, elsewhere: Elsewhere) -> None:
        self._app = app
        self._elsewhere = elsewhere

    async def check(self, url: str) -> None:
        """Refuse an address that may not be called.

        Raises:
            InvalidInput: no route of the project's own takes a POST at this path.
            Exception: what is said of addresses elsewhere.
        """
        if not _is_path(url):
            await self._elsewhere.check(url)
            return
        users: Starlette | None = getattr(self._app.state, "users_app", None)
        scope = _scope(url, {})
        routes = own_routes(users) if users else []
        if not any(route.matches(scope)[0] is Match.FULL for route in routes):
            raise InvalidInput(
                f"no route of the project takes POST {url}: give `http.app` one, or name a whole "
                "address, https://…"
            )

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a body.

        Raises:
            NotTaken, NoAnswer: a route of the project's own did not take it.
            Exception: what is raised of addresses elsewhere.
        """
        if not _is_path(url):
            await self._elsewhere.post(url, body, headers)
            return
        scope = _scope(url, headers) | {
            "app": self._app.state.users_app,
            "state": dict(self._app.state.users_state),
            "everturn": (PlainTextResponse("Not found", 404), self._app),  # in the service's place
        }
        exchange = Exchange(self._app.state.users_app, scope, body)
        try:
            answer = await exchange.start()
        finally:
            exchange.leave()
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - of HTTP
            raise NotTaken(f"POST {url} answered {answer.status}.")


def _is_path(url: str) -> bool:
    return url.startswith("/") and not url.startswith("//")  # the latter names a host


def _scope(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    path, _, query = url.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("api", 80),
    }
