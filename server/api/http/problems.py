"""Every error a client can see, as RFC 9457 problem details: one table from type to status.

The rows of the agent's errors are in `server.app`: no door knows the agent.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from langgraph.errors import GraphRecursionError
from langgraph.store.base import InvalidNamespaceError
from langgraph_sdk.auth.exceptions import HTTPException as RefusedByProject
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog import get_logger

from everturn.checkpoints.errors import (
    InvalidItem,
    ListTooLarge,
    SearchTimeout,
    StaleWriter,
    StoreMisconfigured,
    StoreUnavailable,
    ThreadBusy,
    ValueRefused,
)
from everturn.server.api.http.refused import ProblemResponse
from everturn.server.api.http.users_app import document_users_routes
from everturn.server.errors import (
    AnswerGone,
    AssistantExists,
    AssistantNotFound,
    AssistantOfGraph,
    BudgetExceeded,
    CheckpointNotFound,
    ContextTwice,
    CronNotFound,
    Forbidden,
    GraphNotFound,
    InvalidAssistant,
    InvalidInput,
    InvalidRule,
    InvalidUpdate,
    KeyReused,
    MemoryLost,
    NothingToCancel,
    NothingWaits,
    Overloaded,
    RunCancelled,
    RunNotFound,
    SessionNotFound,
    ShuttingDown,
    StateUnreadable,
    ThreadExists,
    ThreadHasNoGraph,
    ThreadNotFound,
    TooManyRuns,
    TurnTimeout,
    UserNotFound,
    WebhookDelivered,
    WebhookNotFound,
    error_id_of,
    known_id,
    message_of,
)

log = get_logger(__name__)

RETRY_AFTER_SECONDS = 2
IDEMPOTENCY_KEY, REPLAYED = "Idempotency-Key", "Idempotent-Replayed"
"""The headers of a request that may be sent again, and of the answer to one that was."""
_REPLAYED = {
    "description": "`true`: the request was sent before with its Idempotency-Key.",
    "schema": {"type": "string", "enum": ["true"]},
}
_MAX_REASONS = 10
_SCHEMA = re.compile(r"(function-(after|before|wrap|plain)|list|dict|literal)\[")
"""How pydantic names one of several types, between the parts of a place in the body."""


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: str = Field(
        description="Names the kind of problem; stable, fit for code. docs/errors.md explains each."
    )
    title: str = Field(description="The kind of problem, for people.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong here, and what to do.")
    error_id: str | None = Field(
        default=None,
        description="Where the service has failed: the line of the log that says more has it, too.",
    )

    def to_json(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return self.model_dump(exclude_none=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """How clients see one type of error."""

    status: int
    type: str
    detail: str | None = None
    """Said in place of the error's own text, where that could tell too much."""


KINDS: dict[type[Exception], Kind] = {
    Forbidden: Kind(403, "forbidden"),
    InvalidRule: Kind(500, "invalid-rule"),
    GraphNotFound: Kind(404, "graph-not-found"),
    SessionNotFound: Kind(404, "session-not-found"),
    ThreadNotFound: Kind(404, "thread-not-found"),
    UserNotFound: Kind(404, "user-not-found"),
    RunNotFound: Kind(404, "run-not-found"),
    CronNotFound: Kind(404, "cron-not-found"),
    WebhookNotFound: Kind(404, "webhook-not-found"),
    WebhookDelivered: Kind(409, "webhook-delivered"),
    NothingToCancel: Kind(404, "nothing-to-cancel"),
    CheckpointNotFound: Kind(404, "checkpoint-not-found"),
    AssistantNotFound: Kind(404, "assistant-not-found"),
    InvalidAssistant: Kind(422, "invalid-assistant"),
    AssistantExists: Kind(409, "assistant-exists"),
    AssistantOfGraph: Kind(409, "assistant-of-graph"),
    ThreadExists: Kind(409, "thread-exists"),
    # 400, as LangGraph's own server answers these three.
    ContextTwice: Kind(400, "context-twice"),
    ThreadHasNoGraph: Kind(400, "thread-has-no-graph"),
    InvalidUpdate: Kind(400, "invalid-update"),
    InvalidInput: Kind(422, "invalid-input"),
    ValueRefused: Kind(422, "value-refused"),
    ListTooLarge: Kind(422, "list-too-large"),
    InvalidItem: Kind(400, "invalid-item"),
    InvalidNamespaceError: Kind(400, "invalid-namespace"),
    StateUnreadable: Kind(409, "state-unreadable"),
    MemoryLost: Kind(409, "memory-lost"),
    NothingWaits: Kind(409, "nothing-waits"),
    RunCancelled: Kind(409, "run-cancelled"),
    KeyReused: Kind(422, "idempotency-key-reused"),
    AnswerGone: Kind(410, "answer-gone"),
    ThreadBusy: Kind(409, "thread-busy"),
    StaleWriter: Kind(409, "turn-taken-over"),
    TurnTimeout: Kind(504, "turn-timeout"),
    # 429 for every budget, as OpenAI answers `insufficient_quota`: clients know it, and ask less.
    BudgetExceeded: Kind(429, "budget-exceeded"),
    ShuttingDown: Kind(503, "shutting-down"),
    Overloaded: Kind(503, "overloaded"),
    TooManyRuns: Kind(429, "too-many-runs"),
    GraphRecursionError: Kind(
        422, "recursion-limit", "The graph took more super-steps than config.recursion_limit."
    ),
    SearchTimeout: Kind(503, "search-timeout"),
    StoreUnavailable: Kind(503, "store-unavailable"),
    StoreMisconfigured: Kind(503, "store-misconfigured"),
}
_SAY_ALL = (ShuttingDown, Overloaded)
"""Failures of the service that leave nothing to look for in the log."""
_UNEXPECTED = Kind(500, "internal-error", "Something unexpected went wrong; the log says what.")


def problem_of(error: Exception, kinds: Mapping[type[Exception], Kind] = KINDS) -> Problem:
    """Describe an error to a client. One that is not in the table is described without its text."""
    kind = next((kinds[t] for t in type(error).__mro__ if t in kinds), _UNEXPECTED)
    return Problem(
        type=kind.type,
        title=HTTPStatus(kind.status).phrase,
        status=kind.status,
        detail=kind.detail or message_of(error),
        error_id=known_id(error) if kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR else None,
    )


def reported(error: Exception, path: str, kinds: Mapping[type[Exception], Kind] = KINDS) -> Problem:
    """Describe an error to a client; where the service has failed, the log has it, too."""
    problem = problem_of(error, kinds)
    failed = problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if failed and problem.error_id is None and not isinstance(error, _SAY_ALL):
        problem.error_id = error_id_of(error)
        said = {"type": problem.type, "error": type(error).__name__}
        log.warning("request_failed", path=path, error_id=problem.error_id, **said)
    return problem


class FailedBefore(Exception):
    """A request has failed before, and is answered so again."""

    def __init__(self, errors: Sequence[str], detail: str, error_id: str | None) -> None:
        """Take the names of the error's class and of those above it, its text and its id."""
        super().__init__(detail)
        self.errors, self.error_id = errors, error_id


def problem_of_names(
    errors: Sequence[str],
    detail: str,
    error_id: str | None,
    kinds: Mapping[type[Exception], Kind],
) -> Problem:
    """Describe an error that is known by the names of its class and of those above it."""
    by_name = {known.__name__: kind for known, kind in kinds.items()}
    kind = next((by_name[name] for name in errors if name in by_name), _UNEXPECTED)
    return Problem(
        type=kind.type,
        title=HTTPStatus(kind.status).phrase,
        status=kind.status,
        detail=kind.detail or detail,
        error_id=error_id if kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR else None,
    )


def problem_event(
    request: Request, failure: Mapping[str, Any], error: BaseException | None
) -> dict[str, Any]:
    """Describe an error inside a stream, whose status has long been sent.

    Args:
        request: what is answered.
        failure: the run's `error` event: the error's class and text.
        error: the error itself, where the run is, or was, in this process.
    """
    kinds = request.app.state.error_kinds
    if isinstance(error, Exception):
        return reported(error, request.url.path, kinds).to_json()
    said = str(failure.get("message")), failure.get("error_id")
    return problem_of_names([str(failure.get("error"))], *said, kinds).to_json()


class UnexpectedErrors:
    """Middleware: a bug is a 500 and a trace in the log, on a connection that lives on.

    Starlette's own handler for `Exception` raises it once more after its answer, and the server
    then breaks the connection off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            of_turn = known_id(error) is not None
            log.exception("unexpected_error", path=scope["path"], error_id=error_id_of(error))
            await problem_response(problem_of(error), of_turn=of_turn)(scope, receive, send)


def _retry_after(error: Exception) -> dict[str, str]:
    """Say when to come back, where the error knows: whole seconds, RFC 9110."""
    seconds = getattr(error, "retry_after", None)
    return {} if seconds is None else {"Retry-After": str(max(1, ceil(seconds)))}


def answer_errors(app: FastAPI, more: Mapping[type[Exception], Kind]) -> None:
    """Answer every error with problem details; `more` are rows from the rooms the app wires."""
    kinds = {**KINDS, **more}
    app.state.error_kinds = kinds

    async def on_known(request: Request, error: Exception) -> JSONResponse:
        of_turn = known_id(error) is not None or isinstance(error, RunCancelled)
        problem = reported(error, request.url.path, kinds)
        return problem_response(problem, _retry_after(error), of_turn=of_turn)

    async def on_failed_before(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, FailedBefore)  # noqa: S101 - as below
        problem = problem_of_names(error.errors, str(error), error.error_id, kinds)
        # Without a time to come back: it stays so.
        return ProblemResponse(problem.to_json(), {REPLAYED: "true"}, of_turn=True)

    for known in kinds:
        app.add_exception_handler(known, on_known)
    app.add_exception_handler(FailedBefore, on_failed_before)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RefusedByProject, _on_refused)
    app.add_exception_handler(RequestValidationError, _on_validation)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    """Routes that are not there, methods that are not allowed, bodies that are too large."""
    assert isinstance(error, HTTPException)  # noqa: S101 - FastAPI calls this for nothing else
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return problem_response(content_too_large(request.scope[MAX_BODY_SIZE_SCOPE_KEY]))
    phrase = HTTPStatus(error.status_code).phrase
    detail = (
        error.detail if error.detail != phrase else f"{phrase}: {request.method} {request.url.path}"
    )
    problem = Problem(
        type=phrase.lower().replace(" ", "-"), title=phrase, status=error.status_code, detail=detail
    )
    return problem_response(problem, error.headers)


async def _on_refused(request: Request, error: Exception) -> JSONResponse:
    """What a handler of the project's `auth` raised, with its own status and headers."""
    assert isinstance(error, RefusedByProject)  # noqa: S101 - as above
    return problem_response(problem_of_status(error.status_code, str(error.detail)), error.headers)


def problem_of_status(status: int, detail: str) -> Problem:
    """Describe an error whose status a project has chosen."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:  # one of its own
        title = "Refused"
    kind = title.lower().replace(" ", "-").replace("'", "")
    return Problem(type=kind, title=title, status=status, detail=detail)


async def _on_validation(request: Request, error: Exception) -> JSONResponse:
    """Say which field is wrong, without sending back what was in it."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    if isinstance(error.body, bytes):  # FastAPI parses the body only where it is said to be JSON
        detail = "The body is not declared as JSON: send Content-Type: application/json."
    else:
        flaws = error.errors()
        more = [f"and {len(flaws) - _MAX_REASONS} more"] if len(flaws) > _MAX_REASONS else []
        detail = "; ".join([*map(_reason, flaws[:_MAX_REASONS]), *more])
    return problem_response(
        Problem(type="invalid-request", title=HTTPStatus(422).phrase, status=422, detail=detail)
    )


def _reason(flaw: Mapping[str, Any]) -> str:
    if flaw["type"] == "json_invalid":
        return f"body, at character {flaw['loc'][-1]}: {flaw['ctx']['error']}"
    loc = [str(part) for part in flaw["loc"][1:] or flaw["loc"]]
    where = ".".join(part for part in loc if not _SCHEMA.match(part))
    return f"{where}: {flaw['msg'].removeprefix('Value error, ')}"


def content_too_large(limit: int) -> Problem:
    """Tell that a body is larger than `limit` bytes."""
    return Problem(
        type="content-too-large",
        title="Content Too Large",
        status=413,
        detail=f"The body is too large: at most {limit} bytes are taken.",
    )


def problem_response(
    problem: Problem, headers: Mapping[str, str] | None = None, *, of_turn: bool = False
) -> ProblemResponse:
    """Send a problem; a 429 or 503 says when to come back.

    Of a request that became no turn, the log has a line.
    """
    headers = dict(headers or {})
    if problem.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    return ProblemResponse(problem.to_json(), headers, of_turn=of_turn)


def document_errors(app: FastAPI) -> None:
    """Put into OpenAPI the shape of a problem, and the errors that routes have in common."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", Problem.model_json_schema())
        for path in document["paths"].values():
            for operation in path.values():
                _document_common(operation)
        for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own
            schemas.pop(unused, None)
        document_users_routes(document, getattr(app.state, "users_app", None))
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _document_common(operation: dict[str, Any]) -> None:
    body, choices = "requestBody" in operation, "parameters" in operation
    # 421 and 403 are of `hosts`, 429 and 431 of the connection, and so is 408.
    statuses = [*([408, 413] if body else ()), *([422] if body or choices else ())]
    common = problems(403, *statuses, 421, 429, 431, 500, 503)
    if IDEMPOTENCY_KEY in {each["name"] for each in operation.get("parameters", ())}:
        common |= problems(410, 422)
        operation["responses"]["200"]["headers"] = {REPLAYED: _REPLAYED}
    operation["responses"].update({str(status): each for status, each in common.items()})


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document a route's errors in OpenAPI."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }
