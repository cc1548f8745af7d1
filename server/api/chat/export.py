"""A session as a file: its finished turns as JSON or as Markdown."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import Query, Response
from fastapi.responses import StreamingResponse

from everturn.checkpoints.sql.history import FinishedTurn
from everturn.server.api.chat.sessions import HistoryRow, SessionSummary
from everturn.server.api.http.deps import SessionsDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router

router = Router(prefix="/api/chat", tags=["sessions"])


class ExportedSession(SessionSummary):
    """A session with all its finished turns, oldest first."""

    history: list[HistoryRow]


@router.get(
    "/session/{session_id}/export",
    summary="Export a session",
    description="All finished turns of a session, also of one that has ended, as a file: JSON with "
    "every field, or Markdown to read.",
    response_model=ExportedSession,
    responses={
        200: {"content": {"text/markdown": {"schema": {"type": "string"}}}},
        **problems(404, 503),
    },
)
async def export_session(
    session_id: str,
    sessions: SessionsDep,
    form: Annotated[Literal["json", "markdown"], Query(alias="format")] = "json",
) -> Response:
    session, turns = await sessions.export(session_id)
    summary = SessionSummary.of(session)
    if form == "markdown":
        return _file(markdown(summary, turns), "text/markdown", session_id, "md")
    return _file(_json(summary, turns), "application/json", session_id, "json")


async def markdown(
    session: SessionSummary, turns: AsyncGenerator[FinishedTurn]
) -> AsyncIterator[str]:
    """Write a session down for people; what was said stays as it was said."""
    yield f"# {session.title or 'Session'}\n\n"
    yield f"Session `{session.session_id}`, {_moment(session.created_at)}\n"
    async with aclosing(turns):
        async for turn in turns:
            yield f"\n## User, {_moment(turn.created_at)}\n\n{turn.user_message}\n"
            tools = f", with {', '.join(turn.tools_used)}" if turn.tools_used else ""
            yield f"\n## Assistant, {turn.model_used}{tools}\n\n{turn.assistant_message}\n"


async def _json(session: SessionSummary, turns: AsyncGenerator[FinishedTurn]) -> AsyncIterator[str]:
    """Write an `ExportedSession`, turn by turn: its history comes last."""
    whole = ExportedSession(**dict(session), history=[]).model_dump_json(indent=2)
    head, _, rest = whole.rpartition("[]")
    yield f"{head}["
    separator = "\n"
    async with aclosing(turns):
        async for turn in turns:
            row = HistoryRow.model_validate(turn).model_dump_json(indent=2)
            yield separator + "    " + row.replace("\n", "\n    ")
            separator = ",\n"
    yield f"\n  ]{rest}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _file(content: AsyncIterator[str], media_type: str, session_id: str, ending: str) -> Response:
    name = f"filename*=UTF-8''{quote(f'session-{session_id}.{ending}', safe='')}"
    headers = {"Content-Disposition": f"attachment; {name}"}
    return StreamingResponse(content, media_type=media_type, headers=headers)
