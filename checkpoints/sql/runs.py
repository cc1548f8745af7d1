"""The rows of runs: written in group commits, read where somebody asks."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    and_,
    bindparam,
    case,
    column,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    table,
    update,
)

from everturn.checkpoints.confidential import Safe, merged, split_request
from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.group_commit import GroupCommit, Row
from everturn.checkpoints.sql.json_objects import storable
from everturn.checkpoints.sql.pages import read_page
from everturn.checkpoints.sql.tables import runs

RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
MultitaskStrategy = Literal["reject", "interrupt", "rollback", "enqueue"]

UNFINISHED: tuple[RunStatus, ...] = ("pending", "running")

_UPDATE = (
    update(runs)
    .where(runs.c.run_id == bindparam("this"), runs.c.owner == bindparam("mine"))
    .values(status=bindparam("status"), updated_at=bindparam("updated_at"))
)
_END = _UPDATE.values(confidential=None)
_DELETE = delete(runs).where(runs.c.run_id == bindparam("this"))

_THIS = select(runs.c.run_id).where(runs.c.run_id == bindparam("this"))
_NOT_MINE = _THIS.where(
    or_(
        runs.c.status.not_in(UNFINISHED),
        runs.c.owner.is_(None),
        runs.c.owner != bindparam("mine"),
    )
).with_for_update()  # what a connection that broke was about to commit is waited for
"""Finds a run that has ended, or that another process has taken over."""

_INSERT_SECONDS = 1.7
"""A client waits for it, who learns within 2 s that the database is away."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class RunRow:
    """A run; `kwargs` is what was asked, without its secrets."""

    run_id: str
    thread_id: str
    assistant_id: str
    status: RunStatus = "pending"
    metadata: dict[str, Any] = field(default_factory=dict)
    kwargs: dict[str, Any] = field(default_factory=dict)
    multitask_strategy: MultitaskStrategy = "enqueue"
    created_at: datetime = field(default_factory=_now)
    updated_at: datetime = field(default_factory=_now)

    @property
    def configurable(self) -> dict[str, Any]:
        """What it was given, and which run of what it is, as `config.configurable` says it.

        Its row keeps only what was given: the rest stands in it already.
        """
        ids = {
            "thread_id": self.thread_id,
            "run_id": self.run_id,
            "assistant_id": self.assistant_id,
            "graph_id": self.metadata.get("graph_id"),
        }
        return {**(self.kwargs.get("config", {}).get("configurable") or {}), **ids}

    def to_json(self, names: Collection[str] = ()) -> dict[str, Any]:
        """Return it as clients are shown it, or some of its columns; `kwargs` needs `metadata`."""
        shown = {name: getattr(self, name) for name in names or COLUMNS}
        if "kwargs" in shown:
            config = {**self.kwargs.get("config", {}), "configurable": self.configurable}
            shown["kwargs"] = {**self.kwargs, "config": config}
        return shown

    @property
    def due_at(self) -> datetime | None:
        """Before which it may not begin; None where it need not wait."""
        delay = self.kwargs.get("after_seconds") or 0
        return self.created_at + timedelta(seconds=delay) if delay else None

    @property
    def is_due(self) -> bool:
        """Whether it may begin by now."""
        return self.due_at is None or self.due_at <= _now()


COLUMNS = tuple(each.name for each in fields(RunRow))
"""What a client may `select` of a run."""
_COLUMNS = [runs.c[name] for name in COLUMNS]


class Claimed(NamedTuple):
    """A run that was taken out of those that wait."""

    row: RunRow
    confidential: bytes | None
    """What its row leaves out of `kwargs`; see `RunRows.whole_kwargs`."""
    attempt: int
    """How often it has been taken, this time included."""
    deaths: int
    """How often it had begun when its process died."""
    caller: Mapping[str, Any] | None
    """Whose run it is. Not in the row, which clients are shown."""
    asked_at: float
    """Before it was taken, by the monotonic clock: the answer may be read long after."""


class Waiting(NamedTuple):
    """What waits to be taken, by any process."""

    due: int = 0
    """How many runs might begin, if their threads were free."""
    since: datetime | None = None
    """Since when the first of them waits."""
    next_due: datetime | None = None
    """When the next of the others may begin."""


class RunRows:
    """The table `runs`."""

    def __init__(
        self, database: Database, rows: GroupCommit, owner: str, safe: Safe | None = None
    ) -> None:
        """Write as `owner`, the name of the process that runs what is inserted."""
        self._database = database
        self._rows = rows
        self._owner = owner
        self._safe = safe or Safe()
        sqlite = database.dialect.name == "sqlite"
        self._insert = _counting_on() if sqlite else insert(runs)
        self._later = func.max if sqlite else func.greatest

    def insert(
        self,
        run: RunRow,
        *before: Row,
        caller: Mapping[str, Any] | None = None,
        confidential: Mapping[str, Any] | None = None,
        waits: bool = False,
        looks: bool = False,
    ) -> asyncio.Future[list[Any]]:
        """Have a new run written, behind rows that it needs; see `GroupCommit.post`.

        It is given up where the database is away for longer than a client waits.
        With `looks` the last value of the result says whether its thread has an unfinished run.

        Args:
            run: its row.
            before: rows that it needs.
            caller: whose run it is.
            confidential: what its `kwargs` leave out.
            waits: until a process takes it; else this one has it.
            looks: whether others of its thread have not ended, in the same commit.
        """
        values = {name: getattr(run, name) for name in COLUMNS}
        values["caller"] = None if caller is None else storable(dict(caller))
        values["confidential"] = self._safe.seal(confidential or {})
        for name in ("metadata", "kwargs"):
            values[name] = storable(values[name])
        values["due_at"] = run.due_at
        values["owner"] = None if waits else self._owner
        values["attempts"] = 0 if waits else 1
        there = Row(_THIS, {"this": run.run_id})
        rows = [*before, Row(self._insert, values)]
        if looks:
            others = (runs.c.thread_id == run.thread_id) & (runs.c.run_id != run.run_id)
            rows.append(Row(select(exists().where(others, _unfinished(runs)))))
        return self._rows.post(*rows, of=run.thread_id, unless=there, seconds=_INSERT_SECONDS)

    def update(
        self, run: RunRow, status: RunStatus, *more: Row, since: float | None = None
    ) -> asyncio.Future[list[Any]]:
        """Have a run's new status written, with rows that must not be without it.

        They are kept until they are written. Its secrets end with it. For `since` see
        `GroupCommit.post`.
        """
        run.status, run.updated_at = status, _now()
        which: dict[str, Any] = {"this": run.run_id, "mine": self._owner}
        values = {**which, "status": status, "updated_at": run.updated_at}
        row = Row(_UPDATE if status in UNFINISHED else _END, values)
        unless = Row(_NOT_MINE, which)
        return self._rows.post(row, *more, of=run.thread_id, unless=unless, since=since)

    async def get(self, run_id: str, thread_id: str | None = None) -> RunRow | None:
        """Read a run; None where there is none, or it is another thread's."""
        query = select(*_COLUMNS).where(runs.c.run_id == run_id)
        if thread_id is not None:
            query = query.where(runs.c.thread_id == thread_id)
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        return _shown(row) if row else None

    async def of_thread(
        self,
        thread_id: str,
        *,
        limit: int = 10,
        offset: int = 0,
        status: RunStatus | None = None,
        without: Collection[str] = (),
    ) -> list[RunRow]:
        """Read the runs of a thread, newest first; columns `without` which are not read.

        Raises:
            ListTooLarge: together they are too large for one list.
        """
        columns = [each for each in _COLUMNS if each.name not in without]
        query = select(*columns).where(runs.c.thread_id == thread_id)
        if status is not None:
            query = query.where(runs.c.status == status)
        query = query.order_by(runs.c.position.desc())
        page = query.limit(limit).offset(offset)
        return await self._database.read(
            lambda c: [_shown(row) for row in read_page(c, page, runs.c.run_id)]
        )

    async def unfinished(
        self, *, thread_id: str | None = None, status: Sequence[RunStatus] = UNFINISHED
    ) -> list[RunRow]:
        """Read the runs that have not ended, of one thread or of all, oldest first."""
        query = select(*_COLUMNS).where(runs.c.status.in_(status)).order_by(runs.c.position)
        if thread_id is not None:
            query = query.where(runs.c.thread_id == thread_id)
        return await self._read(query)

    async def ids_from(self, thread_id: str, run_id: str | None) -> list[str]:
        """Read the ids of a thread's runs from one on, oldest first; of the unfinished for None."""
        wanted = _unfinished(runs) if run_id is None else _from(run_id)
        query = select(runs.c.run_id).where(runs.c.thread_id == thread_id, wanted)
        query = query.order_by(runs.c.position)
        return await self._database.read(lambda c: list(c.scalars(query)))

    async def place(self, run_id: str) -> int | None:
        """Read where a run stands among all: its position grows from run to run."""
        query = select(runs.c.position).where(runs.c.run_id == run_id)
        return await self._database.read(lambda c: c.scalar(query))

    async def asked(self, run_id: str) -> tuple[int, dict[str, Any]] | None:
        """Read where a run stands among all, and what was asked; None where it is deleted."""
        query = select(runs.c.position, runs.c.kwargs).where(runs.c.run_id == run_id)
        found = await self._database.read(lambda c: c.execute(query).one_or_none())
        return None if found is None else (found.position, found.kwargs)

    async def first_from(self, thread_id: str, place: int) -> str | None:
        """Read the id of a thread's first run at a place or after it."""
        query = select(runs.c.run_id).where(runs.c.thread_id == thread_id, runs.c.position >= place)
        query = query.order_by(runs.c.position).limit(1)
        return await self._database.read(lambda c: c.scalar(query))

    async def before(self, run_id: str, thread_id: str) -> list[RunRow]:
        """Read what came to a thread before a run, could have begun, and has not ended."""
        own = select(runs.c.position).where(runs.c.run_id == run_id).scalar_subquery()
        query = select(*_COLUMNS).where(
            runs.c.thread_id == thread_id,
            _unfinished(runs),
            runs.c.position < own,
            _is_due(runs, _now()),
        )
        return await self._read(query.order_by(runs.c.position))

    async def claim(self, limit: int, without: Collection[str] = ()) -> list[Claimed]:
        """Take runs that wait: of each thread the first, and of the threads whose turn it is.

        A thread comes when it has waited longest since its last run. Of several processes that
        take at once, each run goes to one; nothing of a thread is taken while one of it is under
        way. They are returned in the order in which they came.

        Args:
            limit: how many at most.
            without: identities of callers whose runs go on waiting.
        """
        now, earlier = _now(), runs.alias("earlier")
        blocked = (
            select(earlier.c.run_id)
            .where(
                earlier.c.thread_id == runs.c.thread_id,
                _unfinished(earlier),
                earlier.c.run_id != runs.c.run_id,
                or_(
                    earlier.c.status == "running",
                    and_(earlier.c.position < runs.c.position, _is_due(earlier, now)),
                ),
            )
            .correlate(runs)
            .exists()
        )
        last = runs.alias("last")
        freed = (
            select(last.c.updated_at)
            .where(last.c.thread_id == runs.c.thread_id, last.c.position < runs.c.position)
            .order_by(last.c.position.desc())
            .limit(1)
            .correlate(runs)
            .scalar_subquery()
        )
        came = func.coalesce(runs.c.due_at, runs.c.created_at)
        first = (
            select(runs.c.run_id)
            .where(_WAITS, _is_due(runs, now), ~blocked, *_of_others(without))
            .order_by(self._later(came, func.coalesce(freed, came)), runs.c.position)
            .limit(limit)
            .with_for_update(skip_locked=True, of=runs)
            .cte("first")
        )
        return await self._take(runs.c.run_id.in_(select(first.c.run_id)))

    async def claim_these(self, run_ids: Collection[str]) -> list[Claimed]:
        """Take those of these runs that wait, whatever they wait for: so that they can be ended."""
        return await self._take(runs.c.run_id.in_(run_ids), _WAITS) if run_ids else []

    async def _take(self, *which: ColumnElement[bool]) -> list[Claimed]:
        taken = (
            update(runs)
            .where(*which)
            .values(owner=self._owner, attempts=runs.c.attempts + 1)
            .returning(
                *_COLUMNS,
                *(runs.c[name] for name in ("confidential", "attempts", "deaths", "caller")),
                runs.c.position,
            )
        )
        asked_at = monotonic()
        rows = await self._database.write(lambda c: c.execute(taken).mappings().all())
        return [
            Claimed(
                RunRow(**{name: row[name] for name in COLUMNS}),
                row["confidential"],
                int(row["attempts"]),
                int(row["deaths"]),
                row["caller"],
                asked_at,
            )
            for row in sorted(rows, key=lambda row: row["position"])
        ]

    async def waiting(self) -> Waiting:
        """Say what waits to be taken."""
        came = func.coalesce(runs.c.due_at, runs.c.created_at)
        due = _is_due(runs, _now())
        query = select(
            func.count(case((due, 1))),
            func.min(case((due, came))),
            func.min(case((~due, runs.c.due_at))),
        ).where(_WAITS)
        count, since, next_due = await self._database.read(lambda c: c.execute(query).one())
        return Waiting(count, since, next_due)

    async def begin(self, run_id: str) -> bool:
        """Write down that a run begins; `False` where another process has taken it over."""
        mine = (runs.c.run_id == run_id) & (runs.c.owner == self._owner)
        begun = update(runs).where(mine).values(status="running", updated_at=_now())
        return await self._database.write(lambda c: c.execute(begun).rowcount == 1)

    async def disown(self, alive: Collection[str]) -> list[str]:
        """Have the unfinished runs of processes that are not alive wait again.

        Those that had begun have lived through a death. Returns of each run whose it was.
        """
        dead = and_(runs.c.owner.is_not(None), runs.c.owner.not_in(alive))
        left = select(runs.c.owner).where(_unfinished(runs), dead)
        # Locked: of several processes that look at once, one finds them.
        left = left.order_by(runs.c.position).with_for_update()
        freed = (
            update(runs)
            .where(_unfinished(runs), dead)
            .values(
                owner=None,
                status="pending",
                deaths=runs.c.deaths + case((runs.c.status == "running", 1), else_=0),
            )
        )

        def find_and_free(connection: Connection) -> list[str]:
            owners = [str(owner) for owner in connection.scalars(left)]
            if owners:
                connection.execute(freed)
            return owners

        return await self._database.write(find_and_free)

    async def release_others(self, known: Callable[[], Collection[str]]) -> int:
        """Have what this process has, and does not know of, wait again: an answer was lost.

        It is asked what it knows once the rows are read: it knows a run before it has its row.
        """
        mine = and_(runs.c.owner == self._owner, _unfinished(runs))
        query = select(runs.c.run_id).where(mine)
        found = await self._database.read(lambda c: c.scalars(query).all())
        lost = set(found).difference(known())
        if not lost:
            return 0
        freed = update(runs).where(mine, runs.c.run_id.in_(lost))
        freed = freed.values(owner=None, status="pending")
        return await self._database.write(lambda c: c.execute(freed).rowcount)

    def release(self, run_id: str, *, begun: bool = True) -> asyncio.Future[list[Any]]:
        """Have a run wait again that this process does not go on with, or has not `begun`."""
        mine = (runs.c.run_id == run_id) & (runs.c.owner == self._owner)
        attempts = runs.c.attempts - (0 if begun else 1)
        freed = update(runs).where(mine, _unfinished(runs))
        freed = freed.values(owner=None, status="pending", attempts=attempts)
        return self._rows.post(Row(freed))

    def survived(self, run_id: str) -> asyncio.Future[list[Any]]:
        """Take back that a run's process died: it was away, and is here again."""
        alive = update(runs).where(runs.c.run_id == run_id, runs.c.deaths > 0)
        return self._rows.post(Row(alive.values(deaths=runs.c.deaths - 1)))

    def whole_kwargs(self, run: Claimed) -> dict[str, Any]:
        """Return what was asked of a run that was taken, its secrets included.

        Raises:
            StoreMisconfigured: they are encrypted with another key.
        """
        return merged(run.row.kwargs, self._safe.unseal(run.confidential))

    async def begin_anew(self, run_id: str) -> int | None:
        """Count one more attempt of a run; None where another process has taken it over."""
        mine = (runs.c.run_id == run_id) & (runs.c.owner == self._owner)
        counted = update(runs).where(mine).values(attempts=runs.c.attempts + 1)
        again = counted.returning(runs.c.attempts)
        return await self._database.write(lambda c: c.scalar(again))

    def delete(
        self, run_id: str, thread_id: str, *more: Row, seconds: float | None = None
    ) -> asyncio.Future[list[Any]]:
        """Have a run's row deleted, and more with it; see `GroupCommit.post`."""
        gone = Row(_DELETE, {"this": run_id})
        return self._rows.post(gone, *more, of=thread_id, seconds=seconds)

    async def _read(self, query: Any) -> list[RunRow]:
        return await self._database.read(
            lambda c: [_shown(row) for row in c.execute(query).mappings()]
        )


def _unfinished(table: Any) -> ColumnElement[bool]:
    """With its values in the text: a parameter would hide from a plan that there is an index."""
    status: ColumnElement[str] = table.c.status
    return status.in_([literal_column(f"'{each}'") for each in UNFINISHED])


_WAITS = and_(runs.c.owner.is_(None), _unfinished(runs))
"""Of a run: that no process has it."""


def _of_others(identities: Collection[str]) -> list[ColumnElement[bool]]:
    """Runs of nobody, and of other callers than these; nothing is asked where there are none."""
    if not identities:
        return []
    caller = runs.c.caller
    return [or_(caller.is_(None), caller["identity"].as_string().not_in(identities))]


def _is_due(table: Any, now: datetime) -> ColumnElement[bool]:
    return or_(table.c.due_at.is_(None), table.c.due_at <= now)


def _from(run_id: str) -> ColumnElement[bool]:
    first = select(runs.c.position).where(runs.c.run_id == run_id).scalar_subquery()
    # Of a run that was deleted its id, of version 7, still says when it was made.
    return or_(runs.c.position >= first, and_(first.is_(None), runs.c.run_id >= run_id))


def _counting_on() -> Insert:
    """SQLite's insert, which gives each run the next position: it has one writer at a time."""
    newest = select(func.coalesce(func.max(runs.c.position), 0)).scalar_subquery()
    # Of those that were deleted, which a trigger notes.
    counts = table("sqlite_sequence", column("name"), column("seq"))
    deleted = select(counts.c.seq).where(counts.c.name == "runs_position").scalar_subquery()
    counted_on = func.max(newest, func.coalesce(deleted, 0)) + 1
    return insert(runs).values(position=counted_on)


def _shown(row: Mapping[Any, Any]) -> RunRow:
    """Make a row for clients; one of an earlier version has secrets in its `kwargs`."""
    run = RunRow(**row)
    run.kwargs = split_request(run.kwargs).shown
    return run
