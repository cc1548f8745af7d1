"""The rows of runs: written in group commits, read where somebody asks."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import RowMapping, bindparam, delete, insert, or_, select, update

from everturn.checkpoints.confidential import Safe, merged, split_request
from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.group_commit import GroupCommit, Row
from everturn.checkpoints.sql.json_objects import storable
from everturn.checkpoints.sql.tables import runs

RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
MultitaskStrategy = Literal["reject", "interrupt", "rollback", "enqueue"]

UNFINISHED: tuple[RunStatus, ...] = ("pending", "running")

_INSERT = insert(runs)
_UPDATE = (
    update(runs)
    .where(runs.c.run_id == bindparam("this"))
    .values(status=bindparam("status"), updated_at=bindparam("updated_at"))
)
_END = _UPDATE.values(confidential=None)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class RunRow:
    """A run as clients are shown it; `kwargs` is what was asked, without its secrets."""

    run_id: str
    thread_id: str
    assistant_id: str
    status: RunStatus = "pending"
    metadata: dict[str, Any] = field(default_factory=dict)
    kwargs: dict[str, Any] = field(default_factory=dict)
    multitask_strategy: MultitaskStrategy = "enqueue"
    created_at: datetime = field(default_factory=_now)
    updated_at: datetime = field(default_factory=_now)


COLUMNS = tuple(each.name for each in fields(RunRow))
"""What a client may `select` of a run."""
_COLUMNS = [runs.c[name] for name in COLUMNS]


class Adopted(NamedTuple):
    """A run that was taken over from a process that is not alive any more."""

    row: RunRow
    confidential: bytes | None
    """What its row leaves out of `kwargs`; see `RunRows.whole_kwargs`."""
    attempt: int
    """How often it has been started, this time included."""
    caller: Mapping[str, Any] | None
    """Whose run it is. Not in the row, which clients are shown."""


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

    def insert(
        self,
        run: RunRow,
        *before: Row,
        caller: Mapping[str, Any] | None = None,
        confidential: Mapping[str, Any] | None = None,
    ) -> asyncio.Future[list[Any]]:
        """Have a new run written, behind rows that it needs; see `GroupCommit.post`.

        Args:
            run: its row.
            before: rows that it needs.
            caller: whose run it is.
            confidential: what its `kwargs` leave out.
        """
        values = {name: getattr(run, name) for name in COLUMNS}
        values["caller"] = None if caller is None else storable(dict(caller))
        values["confidential"] = self._safe.seal(confidential or {})
        for name in ("metadata", "kwargs"):
            values[name] = storable(values[name])
        return self._rows.post(*before, Row(_INSERT, {**values, "owner": self._owner}))

    def update(self, run: RunRow, status: RunStatus, *more: Row) -> asyncio.Future[list[Any]]:
        """Have a run's new status written, with rows that must not be without it.

        Its secrets end with it.
        """
        run.status, run.updated_at = status, _now()
        values = {"this": run.run_id, "status": status, "updated_at": run.updated_at}
        return self._rows.post(Row(_UPDATE if status in UNFINISHED else _END, values), *more)

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
    ) -> list[RunRow]:
        """Read the runs of a thread, newest first."""
        query = select(*_COLUMNS).where(runs.c.thread_id == thread_id)
        if status is not None:
            query = query.where(runs.c.status == status)
        query = query.order_by(runs.c.created_at.desc(), runs.c.run_id.desc())
        return await self._read(query.limit(limit).offset(offset))

    async def unfinished(
        self, *, thread_id: str | None = None, status: Sequence[RunStatus] = UNFINISHED
    ) -> list[RunRow]:
        """Read the runs that have not ended, of one thread or of all, oldest first."""
        query = select(*_COLUMNS).where(runs.c.status.in_(status)).order_by(runs.c.created_at)
        if thread_id is not None:
            query = query.where(runs.c.thread_id == thread_id)
        return await self._read(query)

    async def ids_from(self, thread_id: str, run_id: str | None) -> list[str]:
        """Read the ids of a thread's runs from one on, oldest first; of the unfinished for None."""
        wanted = runs.c.status.in_(UNFINISHED) if run_id is None else runs.c.run_id >= run_id
        query = select(runs.c.run_id).where(runs.c.thread_id == thread_id, wanted)
        query = query.order_by(runs.c.run_id)  # of version 7: they sort by their creation
        return await self._database.read(lambda c: list(c.scalars(query)))

    async def adopt(self, alive: Collection[str]) -> list[Adopted]:
        """Take over the unfinished runs of processes that are not alive; return them in order.

        Of several that try at once, each run goes to one.
        """
        orphaned = or_(runs.c.owner.is_(None), runs.c.owner.not_in(alive))
        taken = (
            update(runs)
            .where(runs.c.status.in_(UNFINISHED), orphaned)
            .values(owner=self._owner, attempts=runs.c.attempts + 1)
            .returning(*_COLUMNS, runs.c.confidential, runs.c.attempts, runs.c.caller)
        )
        rows = await self._database.write(lambda c: c.execute(taken).mappings().all())
        found = [
            Adopted(
                RunRow(**{name: row[name] for name in COLUMNS}),
                row["confidential"],
                int(row["attempts"]),
                row["caller"],
            )
            for row in rows
        ]
        return sorted(found, key=lambda each: each.row.run_id)

    def whole_kwargs(self, run: Adopted) -> dict[str, Any]:
        """Return what was asked of a run that was taken over, its secrets included.

        Raises:
            StoreMisconfigured: they are encrypted with another key.
        """
        return merged(run.row.kwargs, self._safe.unseal(run.confidential))

    def release(self, run_id: str) -> asyncio.Future[list[Any]]:
        """Have it written that a run is nobody's, so that it is adopted again."""
        nobodys = update(runs).where(runs.c.run_id == run_id).values(owner=None)
        return self._rows.post(Row(nobodys))

    async def begin_anew(self, run_id: str) -> int | None:
        """Count one more attempt of a run; None where another process has taken it over."""
        mine = (runs.c.run_id == run_id) & (runs.c.owner == self._owner)
        counted = update(runs).where(mine).values(attempts=runs.c.attempts + 1)
        again = counted.returning(runs.c.attempts)
        return await self._database.write(lambda c: c.scalar(again))

    async def delete(self, run_id: str, *more: Row) -> None:
        """Delete a run's row, and write rows that must not be without that."""
        gone = delete(runs).where(runs.c.run_id == run_id)
        await self._rows.post(Row(gone), *more)

    async def _read(self, query: Any) -> list[RunRow]:
        return await self._database.read(
            lambda c: [_shown(row) for row in c.execute(query).mappings()]
        )


def _shown(row: RowMapping) -> RunRow:
    """Make a row for clients; one of an earlier version has secrets in its `kwargs`."""
    run = RunRow(**row)
    run.kwargs = split_request(run.kwargs).shown
    return run
