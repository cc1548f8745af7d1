"""`auth` of `langgraph.json`: the project's `Auth` of `langgraph_sdk`, or a start that is refused.

A project that names one is never served open: whatever keeps its rules from being carried out is
an error at the start.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from langgraph_sdk import Auth

from everturn.server.access.access import Handler
from everturn.server.access.scopes import Scope
from everturn.server.errors import ConfigError
from everturn.server.projects.config import AuthCache, MiddlewareOrder
from everturn.server.projects.project import Project

GIVEN = frozenset(
    {
        "request",
        "body",
        "path",
        "method",
        "path_params",
        "query_params",
        "headers",
        "authorization",
    }
)
"""What an authenticator may take, by the names of its parameters."""

_EXAMPLE = '{"auth": {"path": "./auth.py:auth"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectAuth:
    """Who may call a project, and what they may do."""

    authenticate: Callable[..., Awaitable[Any]]
    takes: frozenset[str]
    """The parameters of `authenticate`, of those in `GIVEN`."""
    handlers: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    """By resource and action; `*` is any."""
    openapi: Mapping[str, Any] = field(default_factory=dict)
    """`securitySchemes`, `security` and `paths`, for the OpenAPI document."""
    cache: AuthCache | None = None
    order: MiddlewareOrder = "middleware_first"
    """Whether the middleware of `http.app` comes before or behind the authenticator."""
    custom_routes: bool = False
    """Whether the routes of `http.app` are authenticated, too."""
    scope_of: Callable[[str], Scope | None] | None = None
    """The scope that a path needs, None where it is open; of our own `auth` alone, for a project's
    permissions are in words of its own."""
    by_owner: bool = False
    """Whether everything belongs to who made it: `handlers` are the `owner_rules`, each caller has
    a store of their own, and operators see everybody's. A project's own rules decide themselves."""


def load_auth(project: Project, own: ProjectAuth | None = None) -> ProjectAuth | None:
    """Load what `auth.path` names; `own` stands in where the project has no `auth`.

    Raises:
        ConfigError: naming the file, the key and what to do.
    """
    config, http = project.keys.auth, project.keys.http
    if config is None:
        if own is not None:
            # Routes of the project's own are open only where it says so.
            theirs = http.enable_custom_route_auth
            said = "enable_custom_route_auth" in http.model_fields_set
            return replace(own, order=http.middleware_order, custom_routes=theirs or not said)
        if http.enable_custom_route_auth:
            raise ConfigError(
                f"{project.name}: http.enable_custom_route_auth: there is no `auth` that could "
                "guard the routes: name one, set EVERTURN_AUTH=on, or leave the key out."
            )
        return None
    where = f"{project.name}: auth"
    if not config.path:
        raise ConfigError(f"{where}: names no `path`: write {_EXAMPLE}, or leave `auth` out.")
    auth = project.load(config.path, "auth.path")
    if not isinstance(auth, Auth):
        raise ConfigError(
            f"{where}.path: is a {type(auth).__name__}, not an `Auth` of langgraph_sdk: "
            "name the variable that holds one."
        )
    authenticator = auth._authenticate_handler  # noqa: SLF001 - the SDK keeps these for servers
    if authenticator is None:
        raise ConfigError(
            f"{where}.path: has no authenticator: write a function under `@auth.authenticate`, "
            "or leave `auth` out."
        )
    found = {place: each[0] for place, each in auth._handlers.items() if each}  # noqa: SLF001
    for handler in auth._global_handlers:  # noqa: SLF001
        found["*", "*"] = handler
    return ProjectAuth(
        authenticate=_awaitable(authenticator),
        takes=_takes(authenticator, f"{where}.path"),
        handlers=found,
        openapi=config.openapi.model_dump(),
        cache=config.cache,
        order=http.middleware_order,
        custom_routes=http.enable_custom_route_auth,
    )


def _awaitable(authenticate: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Have a plain function run in a thread, so that it may ask a database."""
    function = authenticate if inspect.isroutine(authenticate) else type(authenticate).__call__
    if inspect.iscoroutinefunction(function):
        return authenticate

    async def in_thread(**given: Any) -> Any:
        said = await asyncio.to_thread(authenticate, **given)
        return await said if inspect.isawaitable(said) else said

    return in_thread


def _takes(authenticate: Callable[..., Any], where: str) -> frozenset[str]:
    names = set()
    for parameter in inspect.signature(authenticate).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        if parameter.name in GIVEN and parameter.kind is not parameter.POSITIONAL_ONLY:
            names.add(parameter.name)
        elif parameter.default is parameter.empty:
            raise ConfigError(
                f"{where}: the authenticator takes {parameter.name!r}; there are "
                f"{', '.join(sorted(GIVEN))}."
            )
    return frozenset(names)
