"""Rows of many callers in one transaction: whoever comes while one commits shares the next."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable

from checkpoints.database import Database
from checkpoints.errors import StoreUnavailable

_LARGEST_GROUP = 500  # callers
_CLOSING_SECONDS = 30.0


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
    written: asyncio.Future[None]


class GroupCommit:
    """Writes rows. Use `open_group_commit`: it runs the task that commits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._closed = False

    def post(self, *rows: Row) -> asyncio.Future[None]:
        """Have rows written, after all that were posted before; the future is done at the commit.

        Rows of one statement keep their order, and a statement stands where it first stood in its
        group. Nobody has to wait for the future; its error is then lost.

        Raises, from the future:
            StoreUnavailable: the rows were not written, or nobody can say.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(StoreUnavailable("the database is being closed"))
        else:
            self._waiting.put_nowait(_Waiting(rows, future))
        return future

    async def write_groups(self) -> None:
        """Commit what waits, group after group. Never ends."""
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
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._waiting.join()

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        batches: dict[int, tuple[Executable, list[Mapping[str, Any]]]] = {}
        for each in group:
            for row in each.rows:
                _, values = batches.setdefault(id(row.statement), (row.statement, []))
                if row.values is not None:
                    values.append(row.values)

        def work(connection: Connection) -> None:
            for statement, values in batches.values():
                connection.execute(statement, values or None)

        try:
            await self._database.write(work)
        except Exception as error:
            if len(group) > 1:  # one caller's bad row must not cost the others theirs
                middle = len(group) // 2
                await self._commit(group[:middle])
                await self._commit(group[middle:])
                return
            failure = StoreUnavailable(str(error))
            failure.__cause__ = error
            _settle(group[0].written, failure)
            return
        for each in group:
            _settle(each.written)


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


def _settle(future: asyncio.Future[None], failure: Exception | None = None) -> None:
    if future.done():  # its waiter was cancelled
        return
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)
        future.exception()  # asked for: it is no news to the loop if nobody waits
