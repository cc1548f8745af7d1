"""Chat sessions in which nobody has said anything for a while."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.history import FinishedTurn
from everturn.checkpoints.sql.pages import FEW
from everturn.checkpoints.sql.tables import chat_history, runs


@dataclass(frozen=True, slots=True)
class QuietSession:
    """A session, and what was said in it since the pause before."""

    session_id: str
    turns: Sequence[FinishedTurn]
    """Oldest first, and never none."""
    caller: Mapping[str, Any] | None
    """Of its newest run."""
    context: Mapping[str, Any]
    """The choices of its newest run."""


class QuietSessions:
    """Finds them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self, *, quiet: float, since: float, limit: int, offset: int = 0
    ) -> list[tuple[str, int]]:
        """Return sessions with the ids of their newest turns, those first that are quiet longest.

        Args:
            quiet: seconds since the newest turn, at least.
            since: the same, at most.
            limit: how many sessions.
            offset: how many are left out before.
        """
        now, of_turn = datetime.now(UTC), chat_history.c
        # By itself SQLite would walk the whole history, for that is in the order of the groups.
        lately = (
            select(of_turn.session_id, of_turn.id, of_turn.created_at)
            .where(of_turn.created_at > now - timedelta(seconds=since))
            .cte("lately")
            .prefix_with("MATERIALIZED")
        )
        turns = lately.c
        newest = func.max(turns.created_at)
        found = (
            select(turns.session_id, func.max(turns.id))
            .group_by(turns.session_id)
            .having(newest < now - timedelta(seconds=quiet))
            .order_by(newest, turns.session_id)
            .limit(limit)
            .offset(offset)
        )
        return [(row[0], row[1]) for row in await self._database.search(lambda c: c.execute(found))]

    async def read(self, session_id: str, *, pause: float) -> QuietSession | None:
        """Return what was said since the last pause of so many seconds, FEW turns at most."""
        return await self._database.search(lambda c: _read(c, session_id, pause))


def _read(connection: Connection, session_id: str, pause: float) -> QuietSession | None:
    turns, of_run = chat_history.c, runs.c
    newest = (
        select(chat_history)
        .where(turns.session_id == session_id)
        .order_by(turns.id.desc())
        .limit(FEW)
    )
    said: list[FinishedTurn] = []
    for row in connection.execute(newest).mappings():
        turn = FinishedTurn(**row)
        if said and (said[-1].created_at - turn.created_at).total_seconds() > pause:
            break
        said.append(turn)
    last_run = (
        select(of_run.caller, of_run.kwargs)
        .where(of_run.thread_id == session_id)
        .order_by(of_run.position.desc())
        .limit(1)
    )
    run = connection.execute(last_run).first()
    if not said or run is None:
        return None
    context = run.kwargs.get("context")
    return QuietSession(
        session_id, said[::-1], run.caller, context if isinstance(context, dict) else {}
    )
