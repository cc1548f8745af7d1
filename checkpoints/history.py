"""The chat history: one row a turn, written in group commits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, StatementError

from checkpoints.database import Database
from checkpoints.errors import CheckpointsError, StoreUnavailable
from checkpoints.tables import chat_history

_MOST_WAITING = 1000  # rows; whoever comes later waits for room
_LARGEST_GROUP = 500  # rows; 9 parameters each, PostgreSQL takes 32,767 a statement
_PATIENCE_SECONDS = 30.0  # for one row, from `add` to its commit, and for draining at close
_LARGEST_ID = 2**63 - 1

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


@dataclass(frozen=True, slots=True)
class _Waiting:
    turn: FinishedTurn
    written: asyncio.Future[int]


class History:
    """The table `chat_history`. Use `open_history`: it runs the writer that `add` waits for."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(_MOST_WAITING)
        self._closed = False

    async def add(self, turn: FinishedTurn) -> int:
        """Write a turn and return its id, once it is committed.

        A caller that is cancelled while it waits does not know whether its turn was written.

        Raises:
            StoreUnavailable: the turn was not written, or nobody can say.
        """
        if self._closed:
            raise StoreUnavailable("the history is closed")
        waiting = _Waiting(turn, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._waiting.put(waiting)
                return await waiting.written
        except TimeoutError:
            raise StoreUnavailable(
                f"the database has written nothing for {_PATIENCE_SECONDS:.0f} s"
            ) from None

    async def page(
        self, session_id: str, *, limit: int, before: int | None = None
    ) -> tuple[list[FinishedTurn], bool]:
        """Read the newest `limit` turns older than the id `before`.

        Returns:
            The turns, oldest first, and whether there are older ones.
        """
        # Any whole number is a fair question, also one that is too large for an id.
        end = _LARGEST_ID if before is None else min(max(before, 0), _LARGEST_ID)
        newest_first = (
            select(chat_history)
            .where(chat_history.c.session_id == session_id, chat_history.c.id < end)
            .order_by(chat_history.c.id.desc())
            .limit(limit + 1)
        )
        rows = await self._database.read(lambda c: c.execute(newest_first).mappings().all())
        return [FinishedTurn(**row) for row in reversed(rows[:limit])], len(rows) > limit

    async def exists(self, session_id: str) -> bool:
        """Say whether the session has ever had a turn."""
        any_turn = select(exists().where(chat_history.c.session_id == session_id))
        return await self._database.read(lambda c: bool(c.scalar(any_turn)))

    async def delete(self, session_id: str) -> int:
        """Forget a session; returns how many turns it had."""
        turns = delete(chat_history).where(chat_history.c.session_id == session_id)
        return await self._database.write(lambda c: c.execute(turns).rowcount)

    async def write_groups(self) -> None:
        """Commit what waits, as one group; what arrives meanwhile is the next group. Never ends."""
        while True:
            group = [await self._waiting.get()]
            while len(group) < _LARGEST_GROUP and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            await self._commit(group)
            for _ in group:
                self._waiting.task_done()

    async def close(self) -> None:
        """Take no more turns; return when those that wait are written."""
        self._closed = True
        with suppress(TimeoutError):  # the waiters then learn it from their own time limit
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._waiting.join()

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        rows = [_row(each.turn) for each in group]

        def work(connection: Connection) -> Sequence[int]:
            return connection.scalars(_INSERT, rows).all()

        try:
            ids = await self._database.write(work)
        except Exception as error:
            if len(group) > 1 and _blames_a_row(_cause(error)):
                # Halving finds the bad row in 2·log2(n) commits and spares its siblings.
                middle = len(group) // 2
                await self._commit(group[:middle])
                await self._commit(group[middle:])
                return
            for each in group:
                if not each.written.done():
                    each.written.set_exception(_failure(error))
            return
        for each, row_id in zip(group, ids, strict=True):
            if not each.written.done():  # its waiter was cancelled
                each.written.set_result(row_id)


@asynccontextmanager
async def open_history(database: Database) -> AsyncIterator[History]:
    """Run the writer; at the end, write what still waits."""
    history = History(database)
    writer = asyncio.create_task(history.write_groups(), name="history writer")
    try:
        yield history
    finally:
        try:
            await history.close()
        finally:
            writer.cancel()
            await asyncio.wait([writer])


def _row(turn: FinishedTurn) -> dict[str, Any]:
    return {each.name: getattr(turn, each.name) for each in fields(turn) if each.name != "id"}


def _failure(error: Exception) -> StoreUnavailable:
    """Make one exception for each waiter: a shared one would collect all their tracebacks."""
    cause = _cause(error)
    if _blames_a_row(cause):
        reason = str(getattr(cause, "orig", None) or cause).partition("\n")[0]
        failure = StoreUnavailable(f"the database refuses this turn: {reason}")
    else:
        failure = StoreUnavailable(str(error))
    failure.__cause__ = cause
    return failure


def _cause(error: Exception) -> BaseException:
    """What the driver raised."""
    return error.__cause__ or error if isinstance(error, CheckpointsError) else error


def _blames_a_row(error: BaseException) -> bool:
    """Tell a row that the database or the driver refuses from a database in trouble."""
    if isinstance(error, DBAPIError):
        refused = isinstance(error, (IntegrityError, DataError, InterfaceError))
        # Class 22 of PostgreSQL's states, "data exception", is a plain DBAPIError with asyncpg.
        refused = refused or str(getattr(error.orig, "sqlstate", None)).startswith("22")
        return refused and not error.connection_invalidated
    return isinstance(error, (StatementError, TypeError, ValueError, OverflowError))
