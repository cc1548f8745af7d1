"""The table `webhooks`: reports of the ends of runs, each sent until its receiver takes it.

    pending -> claimed by a process until its lease ends -> delivered
                                                         -> pending again, later, or dead

Any number of processes may look at it. A claim moves a row's `due_at` to the end of the lease: a
process that dies while it sends leaves a row that is due again.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from everturn.checkpoints.confidential import Safe, merged, split_request
from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.group_commit import GroupCommit, Row
from everturn.checkpoints.sql.json_objects import storable
from everturn.checkpoints.sql.matches import EVERYTHING, Match
from everturn.checkpoints.sql.searched import SearchedTable, conditions
from everturn.checkpoints.sql.tables import webhooks

Status = Literal["pending", "delivered", "dead"]
SortBy = Literal["created_at"]

_SHOWN = (
    *(webhooks.c.run_id, webhooks.c.thread_id, webhooks.c.status, webhooks.c.url),
    *(webhooks.c.metadata, webhooks.c.attempts, webhooks.c.error, webhooks.c.due_at),
    *(webhooks.c.created_at, webhooks.c.updated_at),
)
_NO_CONTENT = {"confidential": None, "body": None}

# One statement each for good, so that group commits send it once for all.
_OF_THIS = update(webhooks).where(webhooks.c.run_id == bindparam("this"))
_DELIVERED = _OF_THIS.values(
    status="delivered",
    error=None,
    owner=None,
    due_at=None,
    updated_at=bindparam("now"),
    **_NO_CONTENT,
)
# Not where its lease has ended meanwhile, and another attempt decides.
_FAILED = _OF_THIS.where(webhooks.c.attempts == bindparam("this_attempt")).values(
    status=bindparam("becomes"),
    error=bindparam("reason"),
    owner=None,
    due_at=bindparam("again", type_=webhooks.c.due_at.type),
    updated_at=bindparam("now"),
)
_LEFT = _OF_THIS.where(webhooks.c.attempts == bindparam("this_attempt")).values(
    owner=None, attempts=webhooks.c.attempts - 1, due_at=bindparam("now")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A row as operators are shown it; moments are aware and in UTC."""

    run_id: str
    thread_id: str
    status: Status = "pending"
    url: str
    """Without what may be a token."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    error: str | None = None
    due_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Claimed(NamedTuple):
    """What this process is to send now."""

    run_id: str
    url: str
    """As it is shown."""
    attempts: int
    """How often it was sent, this time included."""
    confidential: bytes | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which deliveries are meant: those that fit all of it."""

    status: Status | None = None
    run_id: str | None = None
    thread_id: str | None = None
    allowed: Match = EVERYTHING
    """Which the caller may see at all, by their metadata."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions in SQL."""
        equal = {"status": self.status, "run_id": self.run_id, "thread_id": self.thread_id}
        return conditions(webhooks, equal, {}, self.allowed)


class WebhookTable(SearchedTable[Delivery, SortBy]):
    """The rows. Every method raises StoreUnavailable or StoreMisconfigured as the database does."""

    table = webhooks
    row = Delivery
    columns = _SHOWN

    def __init__(
        self, database: Database, rows: GroupCommit, owner: str, safe: Safe | None = None
    ) -> None:
        """Claim as `owner`, the name of this process."""
        super().__init__(database)
        self._group = rows
        self._owner = owner
        self._safe = safe or Safe()
        insert = sqlite.insert if database.dialect.name == "sqlite" else postgresql.insert
        # An end that is committed twice reports once.
        self._insert = insert(webhooks).on_conflict_do_nothing()

    def created(
        self,
        run_id: str,
        thread_id: str,
        url: str,
        body: bytes,
        metadata: Mapping[str, Any],
        *,
        wait: float = 0,
    ) -> Row:
        """A new row, within the transaction of its run's end; where there is one, nothing happens.

        Args:
            run_id: of the run.
            thread_id: of its thread, which takes the row along when it is deleted.
            url: where to send it.
            body: a JSON object.
            metadata: whose it is.
            wait: seconds before it is due.
        """
        now = datetime.now(UTC)
        shown, confidential = split_request({"webhook": url})
        values = {
            "run_id": run_id,
            "thread_id": thread_id,
            "status": "pending",
            "url": shown["webhook"],
            "confidential": self._safe.seal(confidential),
            "body": self._safe.encrypt(body),
            "metadata": storable(dict(metadata)),
            "attempts": 0,
            "due_at": now + timedelta(seconds=wait),
            "created_at": now,
            "updated_at": now,
        }
        return Row(self._insert, values)

    def whole(self, claimed: Claimed) -> tuple[str, bytes]:
        """Return where to send it, and what.

        Raises:
            StoreMisconfigured: they are encrypted with another key.
        """
        kept = self._safe.unseal(claimed.confidential)
        url = merged({"webhook": claimed.url}, kept)["webhook"]
        return url, self._safe.decrypt(claimed.body)

    async def next_due(self) -> datetime | None:
        """Say when the next one of all is due; `None` where none is."""
        first = select(webhooks.c.due_at).where(webhooks.c.due_at.is_not(None))
        first = first.order_by(webhooks.c.due_at).limit(1)
        return await self._database.read(lambda c: c.scalar(first))

    async def claim(self, limit: int, lease: float) -> list[Claimed]:
        """Take some that are due, for so many seconds; those that were sent least often first."""
        now = datetime.now(UTC)
        due = (
            select(webhooks.c.run_id)
            .where(webhooks.c.due_at <= now)
            .order_by(webhooks.c.attempts, webhooks.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)  # of PostgreSQL: SQLite has one writer
        )
        claimed = (
            update(webhooks)
            .where(webhooks.c.run_id.in_(due.scalar_subquery()))
            .values(
                owner=self._owner,
                attempts=webhooks.c.attempts + 1,
                due_at=now + timedelta(seconds=lease),
            )
            .returning(*(webhooks.c[name] for name in Claimed._fields))
        )
        return await self._database.write(lambda c: [Claimed(*row) for row in c.execute(claimed)])

    async def release(self, alive: Collection[str]) -> None:
        """Have those sent at once that processes were sending which are not alive any more.

        Their last attempt does not count: the receiver has refused nothing.
        """
        theirs = and_(webhooks.c.owner.is_not(None), webhooks.c.owner.not_in(alive))
        released = (
            update(webhooks)
            .where(theirs)
            .values(owner=None, attempts=webhooks.c.attempts - 1, due_at=datetime.now(UTC))
        )
        await self._database.write(lambda c: c.execute(released))

    def delivered(self, claimed: Claimed) -> asyncio.Future[list[Any]]:
        """Have it written that a receiver took it; its content is kept no longer."""
        return self._post(_DELIVERED, claimed)

    def failed(
        self, claimed: Claimed, reason: str, again: datetime | None
    ) -> asyncio.Future[list[Any]]:
        """Have it written that an attempt failed, and when the next one is; `None` is never."""
        more = {"becomes": "pending" if again else "dead", "reason": reason, "again": again}
        return self._post(_FAILED, claimed, this_attempt=claimed.attempts, **more)

    def left(self, claimed: Claimed) -> asyncio.Future[list[Any]]:
        """Have it written that an attempt was broken off, for no fault of the receiver's."""
        return self._post(_LEFT, claimed, this_attempt=claimed.attempts)

    def _post(self, statement: Any, claimed: Claimed, **more: Any) -> asyncio.Future[list[Any]]:
        values = {"this": claimed.run_id, "now": datetime.now(UTC), **more}
        return self._group.post(Row(statement, values))

    async def send_again(self, wanted: Filter) -> int:
        """Have those sent at once that fit and are not delivered; returns how many they are."""
        now = datetime.now(UTC)
        again = (
            update(webhooks)
            .where(*wanted.conditions(), webhooks.c.status != "delivered")
            .values(status="pending", attempts=0, owner=None, due_at=now, updated_at=now)
        )
        return await self._database.write(lambda c: c.execute(again).rowcount)

    async def delete(self, wanted: Filter) -> int:
        """Delete those that fit; returns how many they were."""
        gone = delete(webhooks).where(*wanted.conditions())
        return await self._database.write(lambda c: c.execute(gone).rowcount)
