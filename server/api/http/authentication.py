"""Who is asking: the project's authenticator, asked once for each request, before any route.

Without `auth` in `langgraph.json` everything passes. With it, nobody comes to a route of the
service without a user but for `OPEN`: what LangGraph's server leaves open, and readiness. A call
from inside the process (`langgraph_sdk.get_client()` without a URL) needs no user: the transport
that makes it sets `IN_PROCESS` in its scope, which nothing that comes over a network can do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Any, Literal, get_args

import orjson
from langgraph_sdk.auth.exceptions import HTTPException
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import HTTPConnection, Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.server.access.caller import Caller, InvalidCaller, acting_as, caller_of
from everturn.server.access.scopes import holds
from everturn.server.api.http.docs import Asset
from everturn.server.api.http.in_process import IN_PROCESS
from everturn.server.api.http.problems import (
    Problem,
    content_too_large,
    problem_of,
    problem_of_status,
    problem_response,
)
from everturn.server.errors import error_id_of
from everturn.server.projects.auth import ProjectAuth

log = get_logger(__name__)

_CALLER = "everturn.caller"

OPEN = frozenset(
    {"/", "/ok", "/ready", "/info", "/metrics", "/openapi.json", "/docs"}
    | {f"/docs/{asset}" for asset in get_args(Asset)}
)
"""The paths that need no user, with those below `PAGE`."""

PAGE = "/page/"
"""Below it are the parts of the page, which are the same for everybody."""


def is_open(path: str) -> bool:
    """Say whether a path needs no user, where no scopes say otherwise."""
    return path in OPEN or path.startswith(PAGE)


_ONCE = {b"authorization": "Authorization", b"x-api-key": "X-Api-Key"}
"""Of two, one part of the way could look at the first, another at the last."""
_UNKNOWN = "Sign in: the project does not know who is asking."
_REFUSED = 1008
"""Of a websocket: the peer breaks a rule, RFC 6455."""


@dataclass(slots=True)
class Gate:
    """What the middleware has to know of the project."""

    auth: ProjectAuth
    users_app: Starlette | None = None
    """The app of `http.app`."""
    max_body_size: int = 10_000_000
    """Bytes that are read for an authenticator that takes the body."""
    known: dict[tuple[str, ...], tuple[Caller, float]] = field(default_factory=dict)
    """By the headers of `auth.cache`: a caller, and until when."""

    def needs_user(self, scope: Scope, place: "Place") -> bool:
        """Say whether nobody may pass without a user."""
        if place != "service" and self._is_theirs(scope):
            return self.auth.custom_routes
        return not self.is_open(_path(scope))

    def is_open(self, path: str) -> bool:
        """Say whether a path of the service needs no user."""
        scope_of = self.auth.scope_of
        return is_open(path) if scope_of is None else scope_of(path) is None

    def check_scope(self, scope: Scope, caller: Caller) -> None:
        """Refuse a caller without the scope that a path needs, where there are scopes.

        Raises:
            HTTPException: naming the scope.
        """
        needed = self.auth.scope_of and self.auth.scope_of(_path(scope))
        if needed and not holds(caller.permissions, needed):
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                f"This needs the scope `{needed}`: send a key that has it. Who runs the service "
                f"makes one by `everturn keys create NAME --scope {needed}`.",
                {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'},
            )

    def _is_theirs(self, scope: Scope) -> bool:
        if self.users_app is None:
            return False
        *theirs, _ = self.users_app.router.routes  # the last one is the service
        return any(route.matches(dict(scope))[0] is Match.FULL for route in theirs)


Place = Literal["first", "users_app", "service"]
"""Where the middleware stands: before `http.app`, between its middleware and its routes, or before
the routes of the service. There it always looks, and passes who was let in before."""


class Authentication:
    """Middleware: finds out who asks, or answers that nobody does."""

    def __init__(self, app: ASGIApp, place: Place = "service") -> None:
        self.app = app
        self._place: Place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gate = None if scope["type"] == "lifespan" else _gate_of(scope)
        if gate is None or _CALLER in scope or not self._looks(gate):
            await self.app(scope, receive, send)
        elif scope.get(IN_PROCESS) is True:
            with acting_as(None):
                await self.app(scope, receive, send)
        elif gate.needs_user(scope, self._place):
            await self._authenticated(gate, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _looks(self, gate: Gate) -> bool:
        first = gate.auth.order == "auth_first"
        match self._place:
            case "first":
                return first
            case "users_app":
                return gate.auth.custom_routes and not first
            case "service":
                return True

    async def _authenticated(self, gate: Gate, scope: Scope, receive: Receive, send: Send) -> None:
        recorded = _Recorded(receive, gate.max_body_size)
        caller = _sent_twice(scope) or await _caller(gate, scope, recorded)
        if isinstance(caller, Problem):
            await _refuse(caller, recorded.headers, scope, recorded.again, send)
            return
        scope[_CALLER] = scope["user"] = caller
        scope["auth"] = AuthCredentials(caller.permissions)
        with acting_as(caller):
            await self.app(scope, recorded.again, send)


async def is_still_let_in(scope: Scope) -> bool:
    """Say whether who sent a request would be let in by it now.

    No, once their key is revoked or their token has expired. Yes, while it cannot be found out. The
    authenticator of a project is asked once, as by LangGraph's server.
    """
    gate = _gate_of(scope)
    if gate is None or not gate.auth.by_owner or _CALLER not in scope:
        return True
    try:
        await _authenticated(gate, scope, _Recorded(_nothing_more, gate.max_body_size))
    except HTTPException as error:
        return error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    except CheckpointsError:
        return True
    return True


async def _nothing_more() -> Message:
    return {"type": "http.disconnect"}


def _sent_twice(scope: Scope) -> Problem | None:
    names = [name for name, _ in scope["headers"] if name in _ONCE]
    for name in names:
        if names.count(name) > 1:
            detail = f"The header {_ONCE[name]} came more than once: send it once."
            return problem_of_status(HTTPStatus.BAD_REQUEST, detail)
    return None


def _gate_of(scope: Scope) -> Gate | None:
    _, app = scope.get("everturn") or (None, scope["app"])  # see `users_app`
    gate: Gate | None = getattr(app.state, "gate", None)
    return gate


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


class _TooLarge(Exception):
    """The body is larger than what is read of it."""


class _Recorded:
    """What an authenticator reads of a request, so that the route can read it again."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._messages: list[Message] = []
        self._size = 0
        self.headers: Mapping[str, str] = {}
        """For the answer, where it is refused."""

    async def __call__(self) -> Message:
        """Receive, and remember."""
        message = await self._receive()
        self._messages.append(message)
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            raise _TooLarge
        return message

    async def again(self) -> Message:
        """Receive what was read already, and then what comes."""
        return self._messages.pop(0) if self._messages else await self._receive()

    async def body(self) -> Any:
        """Read the body as JSON; None where it is none."""
        read = bytearray()
        while True:
            message = await self()
            read += message.get("body", b"")
            if not message.get("more_body", False):
                break
        try:
            return orjson.loads(read)
        except ValueError:
            return None


async def _caller(gate: Gate, scope: Scope, recorded: _Recorded) -> Caller | Problem:
    """Ask the authenticator, unless the caller is known."""
    headers = Headers(scope=scope)
    cache = gate.auth.cache
    values = [headers.getlist(name) for name in cache.cache_keys] if cache else []
    # Of two values the authenticator may have looked at the other one.
    cached = cache is not None and all(len(each) == 1 for each in values)
    key = tuple(each[0] for each in values if each)
    if cached and (known := gate.known.get(key)) and monotonic() < known[1]:
        return known[0]
    try:
        caller = await _authenticated(gate, scope, recorded)
    except Exception as error:
        return _problem_of(error, gate, scope, recorded)
    if cache is not None and cached:
        if len(gate.known) >= cache.max_size:
            gate.known.pop(next(iter(gate.known)))
        gate.known[key] = caller, monotonic() + cache.ttl_seconds
    return caller


async def _authenticated(gate: Gate, scope: Scope, recorded: _Recorded) -> Caller:
    user = await gate.auth.authenticate(**await _given(gate.auth.takes, scope, recorded))
    if user is None:
        raise HTTPException(detail=_UNKNOWN)
    caller = caller_of(user)
    gate.check_scope(scope, caller)
    return caller


def _problem_of(error: Exception, gate: Gate, scope: Scope, recorded: _Recorded) -> Problem:
    """What is answered where the authenticator has raised."""
    match error:
        case _TooLarge():
            return content_too_large(gate.max_body_size)
        case HTTPException() | StarletteHTTPException():
            recorded.headers = error.headers or {}
            return problem_of_status(error.status_code, str(error.detail))
        case CheckpointsError():  # where our own keys are
            return problem_of(error)
        case AssertionError():  # how authenticators in LangGraph's guides say no
            return problem_of_status(401, str(error) or _UNKNOWN)
    problem = problem_of_status(500, "The project's authenticator failed; the log says why.")
    problem.error_id = error_id_of(error)
    about = {"advice": str(error)} if isinstance(error, InvalidCaller) else {"exc_info": error}
    log.error("authenticator_failed", path=scope["path"], error_id=problem.error_id, **about)
    return problem


async def _given(takes: frozenset[str], scope: Scope, recorded: _Recorded) -> dict[str, Any]:
    """What the authenticator takes, by name. No route is known yet, so `path_params` are empty."""
    http = scope["type"] == "http"
    headers = Headers(scope=scope)
    given: dict[str, Any] = {
        "path": _path(scope),
        "method": scope.get("method", "GET"),
        "path_params": dict(scope.get("path_params") or {}),
        "query_params": HTTPConnection(scope).query_params,
        "headers": dict(scope["headers"]),
        "authorization": headers.get("authorization"),
        "request": Request(scope, recorded) if http else HTTPConnection(scope),
    }
    if "body" in takes:
        given["body"] = await recorded.body() if http else None
    return {name: each for name, each in given.items() if name in takes}


async def _refuse(
    problem: Problem, headers: Mapping[str, str], scope: Scope, receive: Receive, send: Send
) -> None:
    named = {name.lower() for name in headers}
    if problem.status == HTTPStatus.UNAUTHORIZED and "www-authenticate" not in named:
        headers = {**headers, "WWW-Authenticate": "Bearer"}  # RFC 9110 wants one
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await problem_response(problem, headers)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": _REFUSED, "reason": problem.title})
