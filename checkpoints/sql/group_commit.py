"""Rows of many callers in one transaction: what arrives during a commit shares the next one.

Rows are kept until they are committed. A database that is away, locked or full is asked again and
again, with pauses that grow; what was posted meanwhile waits behind, in its order.
"""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from math import ceil, inf
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import IntegrityError, InterfaceError
from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError, StoreUnavailable, ValueRefused
from everturn.checkpoints.sql.batcher import MAX_BATCH
from everturn.checkpoints.sql.database import Database, refuses_value

log = get_logger(__name__)

_PATIENCE_SECONDS = 1.7  # of a client, from `write` to the commit of its rows
_CLOSING_SECONDS = 5.0  # for what waits at close
_TRY_SECONDS, _LONGEST_TRY = 1.5, 10.0  # of one transaction: rows may be many, and the network slow
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # before the next one
_LOOK_SECONDS = 0.2  # between two looks at those that are given up after a while
_LATE_SECONDS = 1.0  # since they were posted: another may have taken their run over meanwhile


class Row(NamedTuple):
    """A statement, and the values of its parameters.

    Rows of one statement with values are sent together, so such a statement is made once and
    known by its identity. One without values holds them itself and is sent by itself.
    """

    statement: Executable
    values: Mapping[str, Any] | None = None


class _Call:
    """The rows of one caller."""

    __slots__ = (
        *("commits", "left", "of", "posted", "refused", "rows"),
        *("seconds", "tried", "unless", "written"),
    )

    def __init__(
        self,
        rows: Sequence[Row],
        of: str | None,
        unless: Row | None,
        posted: float,
        seconds: float | None,
    ) -> None:
        self.rows = rows
        self.of = of
        self.unless = unless
        self.posted = posted
        self.seconds = seconds
        self.commits = 0
        """How many groups had been committed when it was looked at last."""
        self.left = 0.0
        """How often it is looked at before it is given up."""
        self.wait_anew(0)
        self.tried = False
        """Whether they may have been committed without our knowing."""
        self.refused = False
        self.written: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def wait_anew(self, commits: int) -> None:
        """Have all of its time before it, since so many groups were committed."""
        self.commits = commits
        self.left = inf if self.seconds is None else ceil(self.seconds / _LOOK_SECONDS)

    @property
    def given_up(self) -> bool:
        """Whether the time for them is over; not where their caller has merely left."""
        return self.written.done() and not self.written.cancelled()

    def is_late(self, due: float) -> bool:
        """Whether they may be there already, or be another's to write."""
        return self.tried or self.posted < due


class GroupCommit:
    """Writes rows. Use `open_group_commit`: at its end it writes what still waits.

    It belongs to the event loop in which it is used. A task writes; it lives while there are rows.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[_Call] = deque()
        self._impatient: list[_Call] = []
        """Those that are given up after a while, or were written meanwhile."""
        self._timer: asyncio.TimerHandle | None = None
        """When they are looked at next."""
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._away = False
        self._commits = 0
        """How many groups were committed."""

    def post(
        self,
        *rows: Row,
        of: str | None = None,
        unless: Row | None = None,
        seconds: float | None = None,
        since: float | None = None,
    ) -> asyncio.Future[list[Any]]:
        """Have rows written; the future is done at their commit.

        Its result is what the rows' statements return, a value for each row that returns one. No
        one has to await the future; its error is then lost. Who is cancelled while it waits for
        the future itself, and not for its `asyncio.shield`, learns no more of it; the rows are
        written all the same.

        Args:
            rows: written in this order, all or none.
            of: the thread that they are of. Rows of one thread are written in the order in which
                they were posted, those of different threads as it is quickest. Rows of no thread
                are written after all that were posted before, and before all that come after.
            unless: a query that finds something where the rows are there, or must not be written
                any more. It is asked before they are written a second time, or late. Without it
                rows must be such that writing them twice does no harm.
            seconds: in which nothing was written, or these were tried in vain, after which they
                are given up, unless they are just being written. None keeps them until they are
                written, or the service is closed.
            since: the loop's time at which they were true, where that is not now: the process may
                have stood still in between.

        Raises, from the future:
            StoreUnavailable: the rows were given up.
            ValueRefused: the database does not take one of the rows.
        """
        loop = asyncio.get_running_loop()
        call = _Call(rows, of, unless, loop.time() if since is None else since, seconds)
        if self._closing.is_set():
            _fail(call, StoreUnavailable("the database is being closed"))
            return call.written
        self._waiting.append(call)
        if seconds is not None:
            call.commits = self._commits
            self._impatient.append(call)
            if self._timer is None:
                self._timer = loop.call_later(_LOOK_SECONDS, self._look)
        if self._task is None:
            # An empty context: the group must not log or trace as the caller who came first.
            self._task = loop.create_task(self._run(), name="group commit", context=Context())
        return call.written

    def _look(self) -> None:
        """Fail those whose time is over.

        It is counted in looks: a loop that stands still takes one, and blames no database. Nor is
        a database blamed that has written others' rows meanwhile: only what it has tried and not
        written waits no longer for that.
        """
        for call in self._impatient:
            if call.commits != self._commits and not call.tried:
                call.wait_anew(self._commits)
                continue
            call.left -= 1
            if not call.left:
                silence = f"the database has written nothing for {call.seconds:g} s"
                _fail(call, StoreUnavailable(silence))
        self._impatient = [call for call in self._impatient if not call.written.done()]
        self._timer = None
        if self._impatient:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_LOOK_SECONDS, self._look)

    async def write(self, *rows: Row) -> list[Any]:
        """Write rows as `post` does, and return what they return, once they are committed.

        Raises:
            StoreUnavailable: the rows were not written, or it is not known.
            ValueRefused: the database does not take one of the rows.
        """
        return await self.post(*rows, seconds=_PATIENCE_SECONDS)

    async def close(self) -> None:
        """Take no more rows; return when those that wait are written, or were tried once more."""
        self._closing.set()
        if task := self._task:
            try:
                await asyncio.wait([task], timeout=_CLOSING_SECONDS)
            finally:
                task.cancel()
                await asyncio.wait([task])

    async def _run(self) -> None:
        most, pause, seconds = MAX_BATCH, _FIRST_PAUSE, _TRY_SECONDS
        group: list[_Call] = []
        try:
            await asyncio.sleep(0)  # what the same moment brings shares the first group
            while group := self._next_group(most):
                left = await self._commit(group, seconds)
                if not left:
                    most, pause, seconds = min(2 * most, MAX_BATCH), _FIRST_PAUSE, _TRY_SECONDS
                    continue
                self._waiting.extendleft(reversed(left))
                group = []
                if self._closing.is_set():
                    break
                # It may be the rows that are too many or too large, and not the database.
                most, seconds = max(1, len(left) // 2), min(2 * seconds, _LONGEST_TRY)
                if len(left) == 1:
                    self._others_first()
                await self._rest(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            self._task = None
            for call in (*group, *self._waiting):  # only at the end of the service
                _fail(call, StoreUnavailable("the database was closed before it was written"))
            self._waiting.clear()

    def _next_group(self, most: int) -> list[_Call]:
        group: list[_Call] = []
        while self._waiting and len(group) < most:
            call = self._waiting.popleft()
            if not call.given_up:
                group.append(call)
        return group

    def _others_first(self) -> None:
        """Put the rows that were just refused by themselves behind those of other threads."""
        refused = self._waiting[0].of
        if refused is not None and all(call.of is not None for call in self._waiting):
            others = [call for call in self._waiting if call.of != refused]
            same = [call for call in self._waiting if call.of == refused]
            self._waiting = deque((*others, *same))

    async def _rest(self, seconds: float) -> None:
        closing = asyncio.ensure_future(self._closing.wait())
        await asyncio.wait({closing}, timeout=seconds)
        closing.cancel()

    async def _commit(self, group: Sequence[_Call], seconds: float) -> list[_Call]:
        """Commit rows, and answer their callers; return those that could not be committed now."""
        due = asyncio.get_running_loop().time() - _LATE_SECONDS
        late = [call for call in group if call.unless is not None and call.is_late(due)]
        try:
            answers = await self._database.write(lambda c: _write(c, group, late), seconds=seconds)
        except Exception as error:
            return await self._failed(group, seconds, error)
        self._commits += 1
        if self._away:
            self._away = False
            log.warning("database_is_back", rows=len(group) + len(self._waiting))
        for call, answer in zip(group, answers, strict=True):
            if not call.written.done():
                call.written.set_result(answer)
        return []

    async def _failed(
        self, group: Sequence[_Call], seconds: float, error: Exception
    ) -> list[_Call]:
        if _blames_a_row(_cause(error)):
            if len(group) > 1:
                # Halving finds the bad row in 2·log2(n) commits and spares its siblings.
                middle = len(group) // 2
                left = await self._commit(group[:middle], seconds)
                return [*left, *(await self._commit(group[middle:], seconds))]
            (call,) = group
            if call.tried and not call.refused:  # by what an earlier try was about to commit?
                call.refused = True
                return await self._commit(group, seconds)
            _fail(call, _refusal(error))
            return []
        for call in group:
            call.tried = True
        if not self._away:
            self._away = True
            log.warning("database_is_away", error=str(error), rows=len(group) + len(self._waiting))
        return list(group)


def _write(
    connection: Connection, group: Sequence[_Call], late: Iterable[_Call] = ()
) -> list[list[Any]]:
    """Execute the rows of several callers; return what each one's rows return."""
    needless = {id(call) for call in group if call.given_up}  # while this waited for its turn
    needless |= {
        id(call)
        for call in late
        if call.unless is not None and connection.execute(*call.unless).first() is not None
    }
    returned: dict[int, list[Any]] = {id(call): [] for call in group}
    for batch in _batches(call for call in group if id(call) not in needless):
        values = [row.values for _, row in batch if row.values is not None]
        result = connection.execute(batch[0][1].statement, values or None)
        if result.returns_rows:
            for (call, _), value in zip(batch, result.scalars(), strict=True):
                returned[id(call)].append(value)
    return list(returned.values())


_Batch = list[tuple[_Call, Row]]


def _batches(group: Iterable[_Call]) -> list[_Batch]:
    """Put rows of one statement together, where that puts none before one that it must follow.

    A row follows those of its own call, and all that were posted before for the same thread.
    """
    batches: list[_Batch] = []
    with_statement: dict[int, list[int]] = {}
    """Where the batches of a statement are, by its identity."""
    last_of: dict[str, int] = {}
    """The batch with the newest row of a thread."""
    floor = 0  # the batch with the newest row of no thread, which all others follow
    for call in group:
        before = len(batches) - 1 if call.of is None else last_of.get(call.of, 0)
        least = max(floor, before)
        for row in call.rows:
            places = with_statement.setdefault(id(row.statement), [])
            fitting = bisect_left(places, least)
            if fitting == len(places) or row.values is None:
                places.append(len(batches))
                batches.append([])
                fitting = len(places) - 1
            place = places[fitting]
            batches[place].append((call, row))
            least = place
        if call.of is None:
            floor = least
        else:
            last_of[call.of] = least
    return batches


@asynccontextmanager
async def open_group_commit(database: Database) -> AsyncIterator[GroupCommit]:
    """Write rows to an open database; at the end, write what still waits."""
    rows = GroupCommit(database)
    try:
        yield rows
    finally:
        await rows.close()


def _fail(call: _Call, error: Exception) -> None:
    if not call.written.done():
        call.written.set_exception(error)
        call.written.exception()  # marks it as seen: asyncio reports errors that no one looks at


def _refusal(error: Exception) -> ValueRefused:
    reason = str(error).partition("\n")[0]
    refusal = ValueRefused(f"the database refuses this row: {reason}")
    refusal.__cause__ = _cause(error)
    return refusal


def _cause(error: Exception) -> BaseException:
    """What the driver raised."""
    return error.__cause__ or error if isinstance(error, CheckpointsError) else error


def _blames_a_row(error: BaseException) -> bool:
    """Say whether the database or the driver refuses a row, or whether it is itself in trouble."""
    if isinstance(error, IntegrityError | InterfaceError):
        return not error.connection_invalidated
    return refuses_value(error) or isinstance(error, TypeError | ValueError)
