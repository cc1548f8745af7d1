"""Rows of many callers in one transaction: whoever comes while one commits shares the next."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, StatementError

from everturn.checkpoints.errors import CheckpointsError, StoreUnavailable
from everturn.checkpoints.sql.database import Database

_LARGEST_GROUP = 500  # callers; PostgreSQL takes 32,767 parameters a statement
_PATIENCE_SECONDS = 30.0  # for one's rows, from `write` to their commit, and for draining at close


class Row(NamedTuple):
    """A statement, and the values of its parameters.

    Rows of one statement with values are sent together, so such a statement is made once and
    known by its identity. One without values holds them itself and is sent by itself.
    """

    statement: Executable
    values: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    rows: Sequence[Row]
    written: asyncio.Future[list[Any]]


class GroupCommit:
    """Writes rows. Use `open_group_commit`: it runs the task that commits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._closed = False

    def post(self, *rows: Row) -> asyncio.Future[list[Any]]:
        """Have rows written, after all that were posted before; the future is done at the commit.

        Its result is what the rows' statements return, a value for each row that returns one.
        Rows of one statement keep their order, and a statement stands where it first stood in its
        group. Nobody has to wait for the future; its error is then lost.

        Raises, from the future:
            StoreUnavailable: the rows were not written, or nobody can say.
        """
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(StoreUnavailable("the database is being closed"))
        else:
            self._waiting.put_nowait(_Waiting(rows, future))
        return future

    async def write(self, *rows: Row) -> list[Any]:
        """Write rows as `post` does, and return what they return, once they are committed.

        A caller that is cancelled while it waits does not know whether its rows were written.

        Raises:
            StoreUnavailable: the rows were not written, or nobody can say.
        """
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self.post(*rows)
        except TimeoutError:
            raise StoreUnavailable(
                f"the database has written nothing for {_PATIENCE_SECONDS:.0f} s"
            ) from None

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
        """Take no more rows; return when those that wait are written."""
        self._closed = True
        with suppress(TimeoutError):  # the waiters then learn it from their own time limit
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._waiting.join()

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            returned = await self._database.write(
                lambda c: _write(c, [each.rows for each in group])
            )
        except Exception as error:
            if len(group) > 1 and _blames_a_row(_cause(error)):
                # Halving finds the bad row in 2·log2(n) commits and spares its siblings.
                middle = len(group) // 2
                await self._commit(group[:middle])
                await self._commit(group[middle:])
                return
            for each in group:
                if not each.written.done():  # else its waiter was cancelled
                    each.written.set_exception(_failure(error))
                    each.written.exception()  # it is no news to the loop if nobody waits
            return
        for each, values in zip(group, returned, strict=True):
            if not each.written.done():
                each.written.set_result(values)


def _write(connection: Connection, group: Sequence[Sequence[Row]]) -> list[list[Any]]:
    """Execute the rows of several callers; return what each one's rows return."""
    batches: dict[int, list[tuple[int, Row]]] = {}
    for caller, rows in enumerate(group):
        for row in rows:
            batches.setdefault(id(row.statement), []).append((caller, row))
    returned: list[list[Any]] = [[] for _ in group]
    for batch in batches.values():
        values = [row.values for _, row in batch if row.values is not None]
        result = connection.execute(batch[0][1].statement, values or None)
        if result.returns_rows:
            for (caller, _), value in zip(batch, result.scalars(), strict=True):
                returned[caller].append(value)
    return returned


@asynccontextmanager
async def open_group_commit(database: Database) -> AsyncIterator[GroupCommit]:
    """Run the writer; at the end, write what still waits."""
    rows = GroupCommit(database)
    writer = asyncio.create_task(rows.write_groups(), name="group commit")
    try:
        yield rows
    finally:
        try:
            await rows.close()
        finally:
            writer.cancel()
            await asyncio.wait([writer])


def _failure(error: Exception) -> StoreUnavailable:
    """Make one exception for each waiter: a shared one would collect all their tracebacks."""
    cause = _cause(error)
    if _blames_a_row(cause):
        reason = str(getattr(cause, "orig", None) or cause).partition("\n")[0]
        failure = StoreUnavailable(f"the database refuses this row: {reason}")
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
