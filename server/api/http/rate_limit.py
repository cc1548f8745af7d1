"""How often a caller may ask: counted once for each request, before any route.

It stands behind `Authentication`: who asks is known, and who was refused there is not counted. No
limits have what needs no user either (`OPEN`), what the project asks from within, preflights, which
`PageOrigins` has answered. Of a WebSocket each command is counted, by whoever reads it.

An answer says what is left in the headers `RateLimit-Policy` and `RateLimit` of
draft-ietf-httpapi-ratelimit-headers-11, one item a limit; a refusal is a 429 with `Retry-After`.
"""

from collections.abc import Sequence
from math import ceil

import orjson
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from everturn.server.access.caller import current_caller
from everturn.server.access.limit_notation import Limit
from everturn.server.access.limits import Counted, Kind, RateLimits, kind_of, starts_turn
from everturn.server.api.http.authentication import is_open
from everturn.server.api.http.body_values import read_whole
from everturn.server.api.http.in_process import IN_PROCESS
from everturn.server.api.http.problems import Problem, problem_response

_BATCH, _COMMANDS = "/runs/batch", "/commands"


class RateLimit:
    """Middleware: counts a request, or answers that it comes too soon."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limits = _limits_of(scope)
        if limits is None:
            return await self.app(scope, receive, send)
        path, caller, times = _path(scope), current_caller(), 1
        kind = kind_of(scope["method"], path)
        if path == _BATCH and limits.of(kind, caller):
            body, receive = await read_whole(receive)
            times = _runs_in(body)
        elif kind == "turns" and path.endswith(_COMMANDS) and limits.any_of(caller):
            body, receive = await read_whole(receive)
            kind = kind if starts_turn(_method_in(body)) else "requests"
        address = (scope.get("client") or (None,))[0]
        counted = await limits.count(kind, caller, address, times)
        if counted is None:
            return await self.app(scope, receive, send)
        headers = _headers(counted)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        answer = self.app if counted.passes else _refusal(counted, times)
        return await answer(scope, receive, with_headers)


def _limits_of(scope: Scope) -> RateLimits | None:
    """Return the limits that a request may fall under; None where it falls under none."""
    if scope["type"] != "http" or scope.get(IN_PROCESS) is True or is_open(_path(scope)):
        return None
    limits: RateLimits | None = getattr(scope["app"].state, "rate_limits", None)
    return limits


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def _runs_in(body: bytes) -> int:
    """Return how many runs a batch asks for; what is none is refused by its route."""
    try:
        runs = orjson.loads(body)
    except ValueError:
        return 1
    return max(1, len(runs)) if isinstance(runs, list) else 1


def _method_in(body: bytes) -> object:
    """Return which command a body is; what is none is refused by its route."""
    try:
        command = orjson.loads(body)
    except ValueError:
        return None
    return command.get("method") if isinstance(command, dict) else None


def _headers(counted: Counted) -> dict[str, str]:
    names = [f'"{counted.kind}-{limit.seconds}s"' for limit in counted.limits]
    policies = zip(names, counted.limits, strict=True)
    left = zip(names, counted.left, strict=True)
    return {
        "RateLimit-Policy": ", ".join(f"{name};q={q};w={w}" for name, (q, w) in policies),
        "RateLimit": ", ".join(
            f"{name};r={each.times};t={ceil(each.resets)}" for name, each in left
        ),
    }


async def refused_command(scope: Scope, method: object) -> Problem | None:
    """Count a command that came over a WebSocket; say why it comes too soon, where it does."""
    limits: RateLimits | None = getattr(scope["app"].state, "rate_limits", None)
    if limits is None or scope.get(IN_PROCESS) is True:
        return None
    kind: Kind = "turns" if starts_turn(method) else "requests"
    address = (scope.get("client") or (None,))[0]
    counted = await limits.count(kind, current_caller(), address)
    return None if counted is None or counted.passes else _problem(counted, 1)[0]


def _refusal(counted: Counted, times: int) -> Response:
    problem, headers = _problem(counted, times)
    return problem_response(problem, headers)


def _problem(counted: Counted, times: int) -> tuple[Problem, dict[str, str]]:
    pairs = list(zip(counted.limits, counted.left, strict=True))
    if never := [limit for limit, left in pairs if left.room is None]:
        return _too_many(never, times), {}
    hit = [(left.room, limit) for limit, left in pairs if left.room]
    wait = ceil(max(room for room, _ in hit))
    listed = " and ".join(f"{times} {counted.kind} in {seconds} s" for _, (times, seconds) in hit)
    problem = Problem(
        type="rate-limited",
        title="Too Many Requests",
        status=429,
        detail=f"At most {listed}: come back in {wait} s, as Retry-After says.",
    )
    return problem, {"Retry-After": str(wait)}


def _too_many(limits: Sequence[Limit], times: int) -> Problem:
    listed = " and ".join(f"{most} in {seconds} s" for most, seconds in limits)
    return Problem(
        type="invalid-request",
        title="Unprocessable Entity",
        status=422,
        detail=f"body: {times} runs are more than may ever start, {listed}: send them in parts",
    )
