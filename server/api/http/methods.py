"""One path, one answer to a wrong method: 405 with all the methods that the path has.

Left to themselves, `GET /runs/wait` would be a run called `wait`, and `Allow` would name the
methods of the first route alone.
"""

from collections import defaultdict
from collections.abc import Iterable

from fastapi import APIRouter
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from everturn.server.api.http.problems import problem_of_status, problem_response


def in_order(routers: Iterable[APIRouter]) -> APIRouter:
    """Return all routes as one router, plain paths before those with parameters.

    After the routes of each path comes one that refuses all other methods; WebSockets come first.
    """
    paths: dict[str, list[Route]] = defaultdict(list)
    ordered: list[BaseRoute] = []
    for router in routers:
        for route in router.routes:
            if isinstance(route, Route):
                paths[route.path].append(route)
            else:
                ordered.append(route)
    for path in sorted(paths, key=lambda path: path.count("{")):
        ordered += [*paths[path], _refusal(path, paths[path])]
    router = APIRouter()
    router.routes = ordered
    return router


def _refusal(path: str, routes: Iterable[Route]) -> Route:
    methods = {method for route in routes for method in route.methods or ()}
    return Route(path, _MethodNotAllowed(methods), include_in_schema=False)


class _MethodNotAllowed:
    """An app that refuses every request."""

    def __init__(self, methods: Iterable[str]) -> None:
        self._allow = {"Allow": ", ".join(sorted(methods))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"Method Not Allowed: {scope['method']} {scope['path']}; see the header Allow."
        await problem_response(problem_of_status(405, detail), self._allow)(scope, receive, send)
