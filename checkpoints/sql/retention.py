"""What rows are kept no longer: looked for in passing, a page at a time.

A page is read beside whatever is written, and its rows are deleted in a short transaction, so
that no turn waits long for it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Delete, Select, Table, delete, exists, select

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.runs import UNFINISHED
from everturn.checkpoints.sql.tables import chat_history, runs, threads, webhooks

_PAGE = 500


class Retention:
    """Deletes what has been kept for long enough; each method returns how many rows it were."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def runs(self, before: datetime) -> int:
        """Delete the rows of runs that ended before a moment, but for the newest of each thread.

        The newest one says how its thread's state is read.
        """
        newer = runs.alias("newer")
        superseded = exists().where(
            newer.c.thread_id == runs.c.thread_id, newer.c.run_id > runs.c.run_id
        )
        ended = runs.c.status.not_in(UNFINISHED)
        first = _first_id(before)  # ids begin with their time, and are the table's order
        old = select(runs.c.run_id).where(
            runs.c.run_id < first, runs.c.updated_at < before, ended, superseded
        )
        return await self._delete_all(runs, runs.c.run_id, old)

    async def history(self, before: datetime) -> int:
        """Delete turns that finished before a moment, and ended sessions without any left."""
        old = select(chat_history.c.id).where(chat_history.c.created_at < before)
        deleted = await self._delete_all(chat_history, chat_history.c.id, old)
        any_turn = exists().where(chat_history.c.session_id == threads.c.thread_id)
        empty = select(threads.c.thread_id).where(
            threads.c.kind == "ended", threads.c.expires_at < before, ~any_turn
        )
        return deleted + await self._delete_all(threads, threads.c.thread_id, empty)

    async def webhooks(self, status: str, before: datetime) -> int:
        """Delete webhooks that came to this status before a moment."""
        old = select(webhooks.c.run_id).where(
            webhooks.c.status == status, webhooks.c.updated_at < before
        )
        return await self._delete_all(webhooks, webhooks.c.run_id, old)

    async def _delete_all(
        self, table: Table[Any], column: ColumnElement[Any], old: Select[Any]
    ) -> int:
        deleted, page = 0, old.order_by(column).limit(_PAGE)
        while ids := await self._page(page):
            deleted += await self._delete(delete(table).where(column.in_(ids)))
            if len(ids) < _PAGE:
                break
            page = page.where(column > ids[-1])
        return deleted

    async def _page(self, page: Select[Any]) -> Sequence[Any]:
        return await self._database.search(lambda c: c.scalars(page).all())

    async def _delete(self, gone: Delete) -> int:
        return await self._database.write(lambda c: c.execute(gone).rowcount)


def _first_id(moment: datetime) -> str:
    """The first of all ids of version 7 that are made at a moment."""
    digits = f"{round(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"
