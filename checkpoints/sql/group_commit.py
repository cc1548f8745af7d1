"""Rows of many callers in one transaction: what arrives during a commit shares the next one."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import IntegrityError, InterfaceError

from everturn.checkpoints.errors import CheckpointsError, StoreUnavailable, ValueRefused
from everturn.checkpoints.sql.batcher import Batcher
from everturn.checkpoints.sql.database import Database, refuses_value

_PATIENCE_SECONDS = 30.0  # from `write` to the commit of its rows, and for what waits at close


class Row(NamedTuple):
    """A statement, and the values of its parameters.

    Rows of one statement with values are sent together, so such a statement is made once and
    known by its identity. One without values holds them itself and is sent by itself.
    """

    statement: Executable
    values: Mapping[str, Any] | None = None


class GroupCommit:
    """Writes rows. Use `open_group_commit`: at its end it writes what still waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batcher = Batcher(self._commit, name="group commit")

    def post(self, *rows: Row) -> asyncio.Future[list[Any]]:
        """Have rows written, after all that were posted before; the future is done at the commit.

        Its result is what the rows' statements return, a value for each row that returns one.
        Rows of one statement keep their order, and a statement stands where it first stood in its
        group. No one has to await the future; its error is then lost.

        Raises, from the future:
            StoreUnavailable: the rows were not written, or it is not known.
            ValueRefused: the database does not take one of the rows.
        """
        return self._batcher.submit(rows)

    async def write(self, *rows: Row) -> list[Any]:
        """Write rows as `post` does, and return what they return, once they are committed.

        A caller that is cancelled while it waits does not know whether its rows were written.

        Raises:
            StoreUnavailable: the rows were not written, or it is not known.
            ValueRefused: the database does not take one of the rows.
        """
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self.post(*rows)
        except TimeoutError:
            raise StoreUnavailable(
                f"the database has written nothing for {_PATIENCE_SECONDS:.0f} s"
            ) from None

    async def close(self) -> None:
        """Take no more rows; return when those that wait are written."""
        await self._batcher.close(_PATIENCE_SECONDS)

    async def _commit(self, group: Sequence[Sequence[Row]]) -> list[list[Any] | Exception]:
        """Commit the rows of several callers; return what each one's rows return, or its error."""
        try:
            return [*await self._database.write(lambda c: _write(c, group))]
        except Exception as error:
            if len(group) > 1 and _blames_a_row(_cause(error)):
                # Halving finds the bad row in 2·log2(n) commits and spares its siblings.
                middle = len(group) // 2
                return [*await self._commit(group[:middle]), *await self._commit(group[middle:])]
            return [_failure(error) for _ in group]


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
    """Write rows to an open database; at the end, write what still waits."""
    rows = GroupCommit(database)
    try:
        yield rows
    finally:
        await rows.close()


def _failure(error: Exception) -> StoreUnavailable | ValueRefused:
    """Make one exception for each waiter: a shared one would collect all their tracebacks."""
    cause = _cause(error)
    failure: StoreUnavailable | ValueRefused = StoreUnavailable(str(error))
    if _blames_a_row(cause):
        reason = str(error).partition("\n")[0]
        failure = ValueRefused(f"the database refuses this row: {reason}")
    failure.__cause__ = cause
    return failure


def _cause(error: Exception) -> BaseException:
    """What the driver raised."""
    return error.__cause__ or error if isinstance(error, CheckpointsError) else error


def _blames_a_row(error: BaseException) -> bool:
    """Say whether the database or the driver refuses a row, or whether it is itself in trouble."""
    if isinstance(error, IntegrityError | InterfaceError):
        return not error.connection_invalidated
    return refuses_value(error) or isinstance(error, TypeError | ValueError)
