"""The chat history: one row a turn, written in group commits."""

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, exists, func, insert, or_, select

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.pages import read_page
from everturn.checkpoints.sql.tables import chat_history, runs, threads

_LARGEST_ID = 2**63 - 1
_TITLE_LENGTH = 500
"""Characters of a first message, which may have megabytes."""

# In the order of the rows: PostgreSQL promises none for RETURNING by itself.
_INSERT = insert(chat_history).returning(chat_history.c.id, sort_by_parameter_order=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedTurn:
    """What was asked and answered once in a session."""

    session_id: str
    user_message: str
    assistant_message: str
    tools_used: list[str] = field(default_factory=list)
    model_used: str
    tokens_used: int = 0
    cost: float | None = None
    """US dollars; `None` where the provider does not say."""
    metadata: dict[str, Any] = field(default_factory=dict)
    id: int | None = None
    """Given by the database."""
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def turn_finished(turn: FinishedTurn) -> Row:
    """Write down a turn, within any transaction; the row returns its id."""
    row = {each.name: getattr(turn, each.name) for each in fields(turn) if each.name != "id"}
    return Row(_INSERT, row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What all turns of a session come to."""

    turns: int = 0
    cost: float | None = None
    """US dollars; `None` where no provider named a price."""
    first_message: str | None = None
    """The beginning of what the user said first; `None` before the first turn."""


class History:
    """The table `chat_history`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, session_id: str, *, limit: int, before: int | None = None
    ) -> tuple[list[FinishedTurn], bool]:
        """Read the newest `limit` turns older than the id `before`.

        Returns:
            The turns, oldest first, and whether there are older ones.

        Raises:
            ListTooLarge: together they are too large for one list.
        """
        # Any whole number is a fair question, also one that is too large for an id.
        end = _LARGEST_ID if before is None else min(max(before, 0), _LARGEST_ID)
        newest_first = (
            select(chat_history)
            .where(chat_history.c.session_id == session_id, chat_history.c.id < end)
            .order_by(chat_history.c.id.desc())
            .limit(limit + 1)
        )
        rows = await self._database.read(lambda c: read_page(c, newest_first, chat_history.c.id))
        return [FinishedTurn(**row) for row in reversed(rows[:limit])], len(rows) > limit

    async def after(self, session_id: str, turn_id: int, *, limit: int) -> list[FinishedTurn]:
        """Read the oldest `limit` turns that are newer than an id.

        Raises:
            ListTooLarge: together they are too large for one list.
        """
        oldest_first = (
            select(chat_history)
            .where(chat_history.c.session_id == session_id, chat_history.c.id > turn_id)
            .order_by(chat_history.c.id)
            .limit(limit)
        )
        rows = await self._database.read(lambda c: read_page(c, oldest_first, chat_history.c.id))
        return [FinishedTurn(**row) for row in rows]

    async def totals(self, session_ids: Collection[str]) -> dict[str, Totals]:
        """Sum up sessions, all with one query; those without a finished turn are left out."""
        of_each = (
            select(
                chat_history.c.session_id,
                func.count().label("turns"),
                func.sum(chat_history.c.cost).label("cost"),
                func.min(chat_history.c.id).label("first"),
            )
            .where(chat_history.c.session_id.in_(session_ids))
            .group_by(chat_history.c.session_id)
            .subquery()
        )
        begun = func.substr(chat_history.c.user_message, 1, _TITLE_LENGTH)
        query = select(of_each.c.session_id, of_each.c.turns, of_each.c.cost, begun).join(
            chat_history, chat_history.c.id == of_each.c.first
        )
        rows = await self._database.read(lambda c: c.execute(query).all())
        return {
            session_id: Totals(turns=turns, cost=cost, first_message=first)
            for session_id, turns, cost, first in rows
        }

    async def exists(self, session_id: str) -> bool:
        """Say whether the session has ever had a turn."""
        any_turn = select(exists().where(chat_history.c.session_id == session_id))
        return await self._database.read(lambda c: bool(c.scalar(any_turn)))

    async def had_turns(self, thread_id: str) -> bool:
        """Say whether turns have ended well on a thread that is there, so that it remembers them.

        Not those of an earlier thread of this id, whose history has outlived it.
        """
        made_at = select(threads.c.created_at).where(threads.c.thread_id == thread_id)
        said = (chat_history.c.session_id == thread_id) & (
            chat_history.c.created_at >= made_at.scalar_subquery()
        )
        run = (runs.c.thread_id == thread_id) & (runs.c.status == "success")
        query = select(or_(exists().where(run), exists().where(said)))
        return await self._database.read(lambda c: bool(c.scalar(query)))

    async def delete(self, session_id: str) -> int:
        """Forget a session; returns how many turns it had."""
        turns = delete(chat_history).where(chat_history.c.session_id == session_id)
        return await self._database.write(lambda c: c.execute(turns).rowcount)
