"""The table `threads`: what is searched of a thread. What was said on it is in the checkpoints.

A thread with a `ttl` lives so many minutes after its last change. `expires_at` is when the sweep
looks at it; whether it has expired by then, `updated_at` says, so what happens on a thread does
not have to move its end. A chat session ends at its `expires_at`, to the second: its runs move it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from langchain_core.utils.uuid import uuid7
from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.json_objects import merged, storable
from everturn.checkpoints.sql.matches import EVERYTHING, Match
from everturn.checkpoints.sql.runs import UNFINISHED
from everturn.checkpoints.sql.searched import SearchedTable, conditions, values_of
from everturn.checkpoints.sql.tables import (
    crons,
    idempotency_keys,
    json_object,
    runs,
    threads,
    webhooks,
)

Status = Literal["idle", "busy", "interrupted", "error"]
SortBy = Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"]
Kind = Literal["thread", "session", "ended"]


_ADOPTION_SECONDS = 60.0


def new_thread_id() -> str:
    """Make an id: a UUID of version 7, so that ids sort by their creation."""
    return str(uuid7())


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A row; moments are aware and in UTC."""

    thread_id: str
    kind: Kind = "thread"
    """A `session` was made by a chat route: it lives for its ttl from its last run on, to the
    second. Its history outlives it, and so does its row, as `ended`: for all but the list of
    sessions such a row is not there."""
    status: Status = "idle"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    """`{configurable}` of its newest run; empty before there is one."""
    interrupts: Mapping[str, Any] = field(default_factory=dict)
    """By the id of their task: a list of `{id, value}`."""
    error: Mapping[str, Any] | None = None
    """`{error, message}` of the last run, where it failed."""
    ttl: Mapping[str, Any] | None = None
    """`{ttl, strategy}`: minutes, and `delete` or `keep_latest`."""
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime
    expires_at: datetime | None = None
    """When the sweep looks at it; see `ends_at`."""

    @property
    def ends_at(self) -> datetime | None:
        """When its ttl ends if nothing happens on it any more; `None` for a thread without."""
        return _end(self.ttl, self.updated_at) if self.kind == "thread" else self.expires_at

    @property
    def lifetime(self) -> int | None:
        """Seconds a session lives from its last run on; `None` for other threads."""
        return round(self.ttl["ttl"] * 60) if self.kind == "session" and self.ttl else None

    @property
    def has_expired(self) -> bool:
        """Whether a session has ended, though the sweep may not have seen it yet."""
        if self.kind == "ended":
            return True
        ends = self.expires_at if self.kind == "session" and self.status != "busy" else None
        return ends is not None and ends <= _now()


def new_thread(
    thread_id: str | None = None,
    *,
    kind: Kind = "thread",
    metadata: Mapping[str, Any] | None = None,
    ttl: Mapping[str, Any] | None = None,
) -> Thread:
    """Describe a thread that begins now, under a new id unless one is given."""
    now = _now()
    return Thread(
        thread_id=thread_id or new_thread_id(),
        kind=kind,
        metadata=metadata or {},
        ttl=ttl,
        created_at=now,
        updated_at=now,
        state_updated_at=now,
    )


def new_session(
    session_id: str | None,
    context: Mapping[str, Any],
    *,
    lifetime: int,
    created_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> Thread:
    """Describe a chat session: a thread that lives `lifetime` seconds from its last run on.

    Args:
        session_id: its id; None makes a new one.
        context: anything of the client's, kept in the thread's metadata.
        lifetime: in seconds.
        created_at: now, if nothing is said.
        expires_at: after its lifetime, if nothing is said.
    """
    now = created_at or _now()
    return Thread(
        thread_id=session_id or str(uuid4()),
        kind="session",
        metadata={"context": dict(context)} if context else {},
        ttl={"ttl": lifetime / 60, "strategy": "delete"},
        created_at=now,
        updated_at=now,
        state_updated_at=now,
        expires_at=expires_at or now + timedelta(seconds=lifetime),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which threads are meant: those that fit all of it."""

    ids: Collection[str] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the thread's metadata contains."""
    status: Status | None = None
    sessions: bool = False
    """Only chat sessions."""
    ended: bool | None = False
    """Of chat sessions those that live; `True`: those that have ended; `None`: both."""
    allowed: Match = EVERYTHING
    """Which the caller may see at all, by their metadata."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Say it in SQL."""
        found = conditions(threads, {"status": self.status}, self.metadata, self.allowed)
        if self.ids is not None:
            found.append(threads.c.thread_id.in_(self.ids))
        # Said by what is not wanted, so that SQLite walks along the index of the order, which
        # has these columns too, to the end of the page; it would read and sort all others.
        if self.sessions:
            found.append(threads.c.kind != "thread")
        over = and_(
            threads.c.kind == "session",
            threads.c.status != "busy",
            threads.c.expires_at <= _now(),
        )
        if self.ended is False:
            found += [threads.c.kind != "ended", not_(over)]
        elif self.ended:
            found.append(or_(threads.c.kind == "ended", over))
        return found


_NULLABLE = json_object(none_as_null=True)
_OF_THIS = update(threads).where(threads.c.thread_id == bindparam("this"))
_BUSY = _OF_THIS.values(status="busy", updated_at=bindparam("now"))
_GOES_ON = runs.c.status.in_(UNFINISHED) & (runs.c.run_id == bindparam("run"))
_BUSY_WITH = _BUSY.where(exists().where(_GOES_ON))
_STANDS = _OF_THIS.values(
    status=bindparam("stands"),
    updated_at=bindparam("now"),
    state_updated_at=bindparam("now"),
    interrupts=bindparam("asked"),
    error=bindparam("failed", type_=_NULLABLE),
)
_ABOUT = bindparam("about", type_=threads.c.metadata.type)
_MERGED = {"metadata": merged(threads.c.metadata, _ABOUT)}
_CONFIG = {"config": bindparam("given", type_=threads.c.config.type)}
_RENEWED = {"expires_at": bindparam("ends", type_=threads.c.expires_at.type)}
# One statement each for good: SQLAlchemy compiles it once, and group commits send it once for all.
_CHANGES = {
    (change, about, given, renewed): statement.values(
        (_MERGED if about else {}) | (_CONFIG if given else {}) | (_RENEWED if renewed else {})
    )
    for change, statement in (("busy", _BUSY), ("busy with", _BUSY_WITH), ("stands", _STANDS))
    for about in (True, False)
    for given in (True, False)
    for renewed in (True, False)
}


def status_changed(
    thread_id: str,
    status: Status,
    *,
    interrupts: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    lifetime: int | None = None,
    run_id: str | None = None,
) -> Row:
    """Write down that a run began (`busy`), or what it came to, within any transaction.

    Args:
        thread_id: of a row; without one, nothing happens.
        status: `busy` leaves interrupts and error as they were, the others replace them.
        interrupts: plain JSON, by the id of their task.
        error: plain JSON.
        metadata: merged into the thread's own.
        config: of the run, in place of that of the run before.
        lifetime: seconds that a session lives from now on; see `Thread.lifetime`.
        run_id: of the run that makes it `busy`; once that has ended, nothing happens. The process
            that writes may have stood still, in the midst of it, while another took the run over.
    """
    now = _now()
    values: dict[str, Any] = {"this": thread_id, "now": now}
    if lifetime is not None:
        values["ends"] = now + timedelta(seconds=lifetime)
    change = "busy" if run_id is None else "busy with"
    if run_id is not None:
        values["run"] = run_id
    if status != "busy":
        change = "stands"
        values["stands"] = status
        values["asked"] = storable(dict(interrupts or {}))
        values["failed"] = storable(dict(error)) if error else None
    if metadata:
        values["about"] = storable(dict(metadata))
    if config:
        values["given"] = storable(dict(config))
    return Row(_CHANGES[change, bool(metadata), bool(config), lifetime is not None], values)


class ThreadTable(SearchedTable[Thread, SortBy]):
    """The rows, also those that have expired. Methods raise as those of `SearchedTable` do."""

    table = threads
    row = Thread
    default_sort = "updated_at"

    def __init__(self, database: Database, ttl: Mapping[str, Any] | None = None) -> None:
        """Read and write the rows; `ttl` is that of new threads that have none of their own."""
        super().__init__(database)
        self._ttl = ttl
        insert = sqlite.insert if database.dialect.name == "sqlite" else postgresql.insert
        # Made once, as the statements above are. Here None is SQL's NULL, also in these columns.
        nothing = {name: bindparam(name, type_=_NULLABLE) for name in ("error", "ttl")}
        self._insert = insert(threads).values(nothing).on_conflict_do_nothing()

    def created(self, thread: Thread) -> Row:
        """Make a row, within any transaction; where there is one of this id, nothing happens."""
        if thread.ttl is None and self._ttl is not None:
            thread = replace(thread, ttl=self._ttl)
        row = values_of(thread) | {"expires_at": thread.ends_at}
        for name in ("metadata", "config", "interrupts"):
            row[name] = storable(row[name])
        for name in ("error", "ttl"):
            row[name] = None if row[name] is None else storable(row[name])
        return Row(self._insert, row)

    async def create(self, thread: Thread) -> bool:
        """Make a row; `False` if there is one of this id, which stays as it is."""
        row = self.created(thread)
        return await self._database.write(
            lambda c: c.execute(row.statement, row.values).rowcount == 1
        )

    async def adopt_ttl(self) -> None:
        """Give the ttl of new threads to those of the API, made before, that have none."""
        if self._ttl is None:
            return
        without = (threads.c.kind == "thread") & threads.c.ttl.is_(None)
        given = update(threads).where(without).values(ttl=dict(self._ttl), expires_at=_now())
        await self._database.write(lambda c: c.execute(given), seconds=_ADOPTION_SECONDS)

    async def make_session(self, session: Thread) -> None:
        """Make a session of a thread that is there, with all that is on it."""
        changed = (
            update(threads)
            .where(threads.c.thread_id == session.thread_id)
            .values(
                kind="session",
                ttl=dict(session.ttl or {}),
                expires_at=session.expires_at,
                metadata=merged(threads.c.metadata, session.metadata),
            )
        )
        await self._database.write(lambda c: c.execute(changed))

    async def patch(
        self,
        thread_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        ttl: Mapping[str, Any] | None = None,
    ) -> Thread | None:
        """Merge metadata and replace the ttl, where given; `None` if there is no such row."""
        now = _now()
        values: dict[str, Any] = {"updated_at": now}
        if metadata:
            values["metadata"] = merged(threads.c.metadata, metadata)
        if ttl:
            values |= {"ttl": dict(ttl), "expires_at": _end(ttl, now)}
        changed = (
            update(threads)
            .where(threads.c.thread_id == thread_id)
            .values(values)
            .returning(threads)
        )
        row = await self._database.write(lambda c: c.execute(changed).mappings().one_or_none())
        return Thread(**row) if row else None

    async def set_status(
        self,
        thread_id: str,
        status: Status,
        *,
        interrupts: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Execute `status_changed`; `False` if there is no such row."""
        changed = status_changed(
            thread_id, status, interrupts=interrupts, error=error, metadata=metadata
        )
        return await self._database.write(
            lambda c: c.execute(changed.statement, changed.values).rowcount == 1
        )

    async def delete(self, thread_id: str) -> bool:
        """Delete a row, and runs, crons and webhooks of its thread; `False` if there was none."""
        gone = delete(webhooks).where(webhooks.c.thread_id == thread_id)
        return await self._without_runs(
            thread_id, _deletion(thread_id), _answers_gone(thread_id), gone
        )

    async def end(self, thread_id: str) -> bool:
        """Delete the runs and crons of a session and say in its row that it has ended.

        When it was used last, and when it ended, stay as they are. Webhooks are sent all the same.
        """
        ended = (
            update(threads)
            .where(threads.c.thread_id == thread_id)
            .values(kind="ended", status="idle", interrupts={})
        )
        return await self._without_runs(thread_id, ended)

    async def _without_runs(
        self, thread_id: str, change: Delete | Update, *more: Delete | Update
    ) -> bool:
        def work(connection: Connection) -> bool:
            for each in more:
                connection.execute(each)
            for table in (runs, crons):
                connection.execute(delete(table).where(table.c.thread_id == thread_id))
            return connection.execute(change).rowcount == 1

        return await self._database.write(work)

    async def due(self, limit: int) -> list[Thread]:
        """Read the rows that the sweep should look at, the longest overdue first."""
        overdue = (
            select(threads)
            .where(threads.c.expires_at <= _now(), threads.c.kind != "ended")
            .order_by(threads.c.expires_at)
            .limit(limit)
        )
        return await self._read(overdue)

    async def look_again(self, thread_id: str, at: datetime | None) -> None:
        """Put off the next look at a thread; `None` is never."""
        later = update(threads).where(threads.c.thread_id == thread_id).values(expires_at=at)
        await self._database.write(lambda c: c.execute(later))


def _deletion(thread_id: str) -> Delete:
    return delete(threads).where(threads.c.thread_id == thread_id)


def _answers_gone(thread_id: str) -> Update:
    """Nothing of a thread that is deleted is kept for requests that are sent again."""
    theirs = idempotency_keys.c.thread_id == thread_id
    return update(idempotency_keys).where(theirs).values(answer=None)


def _end(ttl: Mapping[str, Any] | None, since: datetime) -> datetime | None:
    return since + timedelta(minutes=ttl["ttl"]) if ttl else None
