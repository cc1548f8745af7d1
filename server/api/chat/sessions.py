"""Sessions and their history: made, looked at, listed, forgotten."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Body, Query, Request, Response
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from everturn.checkpoints.sql.history import Totals
from everturn.server.api.chat.approvals import WaitingCall
from everturn.server.api.http.deps import SessionsDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import MAX_DEPTH, Router
from everturn.server.api.http.values import JsonObject
from everturn.server.errors import InvalidInput
from everturn.server.resources.sessions import Session
from everturn.server.turns.outcome import readable

router = Router(prefix="/api/chat", tags=["sessions"])

MAX_PAGE = 1000
Status = Literal["active", "ended"]
MAX_CONTEXT_BYTES = 16_384
_LARGEST_INTEGER = 2**63 - 1  # Redis and SQL count with 64 bits


def _small(context: dict[str, Any]) -> dict[str, Any]:
    size = len(json.dumps(context, ensure_ascii=False).encode())
    if size > MAX_CONTEXT_BYTES:
        raise ValueError(f"has {size} bytes as JSON; at most {MAX_CONTEXT_BYTES} are taken")
    return context


class SessionRequest(BaseModel):
    """What is kept with a new session."""

    model_config = ConfigDict(extra="forbid")

    context: Annotated[JsonObject, AfterValidator(_small)] = Field(
        default_factory=dict,
        description="Anything of yours; returned as it is, never interpreted. "
        f"At most {MAX_CONTEXT_BYTES} bytes, {MAX_DEPTH} levels deep.",
    )


class SessionSummary(BaseModel):
    """A session, and what its finished turns come to."""

    session_id: str
    title: str | None = Field(description="From its first message; null before the first turn.")
    status: Status = Field(
        description="ended: it has expired; its history is kept, what the agent remembered is not."
    )
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime | None = Field(
        description="Renewed by every turn; null for a thread that does not expire."
    )
    turns: int = Field(description="Finished turns.")
    cost: float | None = Field(description="US dollars; null where no provider named a price.")
    context: dict[str, Any]

    @classmethod
    def of(cls, session: Session) -> Self:
        """Describe a session."""
        thread, totals = session
        context = thread.metadata.get("context")  # of another thread it may be anything
        return cls(
            session_id=thread.thread_id,
            title=session.title,
            status="ended" if thread.has_expired else "active",
            created_at=thread.created_at,
            last_used_at=thread.updated_at,
            expires_at=thread.ends_at,
            turns=totals.turns,
            cost=totals.cost,
            context=context if isinstance(context, dict) else {},
        )


class Deleted(BaseModel):
    """What was deleted."""

    deleted: int = Field(description="Sessions.")


class Message(BaseModel):
    """One message of a session."""

    role: Literal["user", "assistant", "tool", "system"]
    content: str
    timestamp: datetime | None = Field(description="When it was said; null where it is not known.")
    tool_calls: list[dict[str, Any]] = Field(default_factory=list)
    tool_call_id: str | None = None
    name: str | None = None


class SessionDetail(SessionSummary):
    """A session with everything said in it, oldest first."""

    messages: list[Message]
    calls: list[WaitingCall] = Field(description="Tool calls that wait to be approved.")


class SessionList(BaseModel):
    """One page of the sessions, the last used first."""

    sessions: list[SessionSummary]
    total: int


class HistoryRow(BaseModel):
    """One finished turn, as the table `chat_history` keeps it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    session_id: str
    user_message: str
    assistant_message: str
    tools_used: list[str]
    model_used: str
    tokens_used: int
    cost: float | None
    created_at: datetime
    metadata: dict[str, Any]


@router.post(
    "/session",
    status_code=201,
    summary="Begin a session",
    description="Makes a session that lives for `EVERTURN_SESSION_TTL` seconds after its last use.",
    responses=problems(503),
)
async def create_session(
    sessions: SessionsDep, body: Annotated[SessionRequest | None, Body()] = None
) -> SessionSummary:
    made = await sessions.create(body.context if body else {})
    return SessionSummary.of(Session(made, Totals()))


@router.get(
    "/sessions",
    summary="List sessions",
    description="All sessions, the last used first, with what their turns come to; also those that "
    "have ended, as long as they have a history. `total` counts them, `limit` and `offset` choose "
    "the page.",
    responses=problems(503),
)
async def list_sessions(
    sessions: SessionsDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    offset: Annotated[int, Query(ge=0, le=_LARGEST_INTEGER)] = 0,
    status: Annotated[Status | None, Query(description="Only these; none: all.")] = None,
) -> SessionList:
    page, total = await sessions.page(limit, offset, ended=_ended(status))
    return SessionList(sessions=[SessionSummary.of(session) for session in page], total=total)


@router.delete(
    "/sessions",
    summary="Delete all sessions",
    description="Deletes each session as DELETE /api/chat/session/{session_id} does, with its "
    "history. Nothing brings them back, so the request has to say `confirm=all`.",
    responses=problems(409, 503),
)
async def delete_sessions(
    sessions: SessionsDep,
    confirm: Annotated[str, Query(description="`all`.")] = "",
    status: Annotated[Status | None, Query(description="Only these; none: all.")] = None,
) -> Deleted:
    if confirm != "all":
        raise InvalidInput(
            "confirm: this deletes all sessions with their history; say so with ?confirm=all."
        )
    return Deleted(deleted=await sessions.delete_all(ended=_ended(status)))


@router.get(
    "/session/{session_id}",
    summary="Show a session",
    description="When it was made, when it expires, its context, all its messages, and the "
    "tool calls that wait for somebody.",
    responses=problems(404, 409, 503),
)
async def show_session(session_id: str, sessions: SessionsDep) -> SessionDetail:
    (session,) = await sessions.summed_up(await sessions.get(session_id))
    messages = await sessions.messages(session_id)
    calls = await sessions.waiting_calls(session_id)
    return SessionDetail(
        **dict(SessionSummary.of(session)),
        messages=[_shown(message) for message in messages],
        calls=[WaitingCall.model_validate(call) for call in calls],
    )


@router.delete(
    "/session/{session_id}",
    status_code=204,
    response_class=Response,
    summary="Forget a session",
    description="Cancels what runs in it and deletes it whole: its memory, its history, its runs "
    "and what they streamed. Of a session that has ended, the history.",
    responses=problems(404, 409, 503),
)
async def delete_session(session_id: str, sessions: SessionsDep) -> None:
    await sessions.delete(session_id)


@router.get(
    "/history/{session_id}",
    summary="Read the history of a session",
    description="Its finished turns, oldest first; still there when the session has expired. "
    "Without `before` the newest `limit` turns; when there are older ones, `X-Pagination-Next` and "
    "`Link` say how to ask for them.",
    responses=problems(404, 503),
)
async def read_history(
    session_id: str,
    request: Request,
    response: Response,
    sessions: SessionsDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    before: Annotated[
        int | None, Query(ge=1, le=_LARGEST_INTEGER, description="Only turns older than this id.")
    ] = None,
) -> list[HistoryRow]:
    rows, more = await sessions.history(session_id, limit=limit, before=before)
    if more and rows:
        older = request.url.include_query_params(before=rows[0].id).replace(scheme="", netloc="")
        response.headers["X-Pagination-Next"] = str(rows[0].id)
        response.headers["Link"] = f'<{older}>; rel="next"'
    return [HistoryRow.model_validate(row) for row in rows]


def _ended(status: Status | None) -> bool | None:
    return None if status is None else status == "ended"


def _shown(message: AnyMessage) -> Message:
    shown = Message(
        role=_role(message),
        content=readable(message),
        timestamp=_moment(message.additional_kwargs.get("timestamp")),
        name=message.name,
    )
    if isinstance(message, AIMessage):
        shown.tool_calls = [dict(call) for call in message.tool_calls]
    if isinstance(message, ToolMessage):
        shown.tool_call_id = message.tool_call_id
    return shown


def _moment(said: Any) -> datetime | None:
    """Read when a message was said; a client or a graph may have written anything there."""
    try:
        return datetime.fromisoformat(said)
    except (TypeError, ValueError):
        return None


def _role(message: AnyMessage) -> Literal["user", "assistant", "tool", "system"]:
    match message:
        case HumanMessage():
            return "user"
        case ToolMessage():
            return "tool"
        case SystemMessage():
            return "system"
        case _:
            return "assistant"
