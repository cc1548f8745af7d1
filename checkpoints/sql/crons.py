"""The table `crons`: runs that begin again and again, and when the next one is due.

Any number of services may look at it: a due cron goes to the one that creates its run first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, delete, insert, select, update

from everturn.checkpoints.confidential import Safe, merged, split_request
from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.json_objects import storable
from everturn.checkpoints.sql.matches import EVERYTHING, Match
from everturn.checkpoints.sql.searched import SearchedTable, conditions, values_of
from everturn.checkpoints.sql.searched import SortOrder as SortOrder  # noqa: PLC0414 - re-exported
from everturn.checkpoints.sql.tables import crons

SortBy = Literal[
    "cron_id", "assistant_id", "thread_id", "created_at", "updated_at", "next_run_date", "end_time"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A row; moments are aware and in UTC."""

    cron_id: str
    assistant_id: str
    thread_id: str | None = None
    """None: each run has a thread of its own."""
    schedule: str
    """Five fields as in crontab(5), or six with seconds first."""
    timezone: str | None = None
    """Of the schedule, by its IANA name; None is UTC."""
    payload: Mapping[str, Any] = field(default_factory=dict)
    """What is asked of each run, without its secrets."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    on_run_completed: Literal["delete", "keep"] | None = None
    """What becomes of a run's own thread."""
    end_time: datetime | None = None
    """After which no run begins."""
    next_run_date: datetime | None = None
    """None: no run will begin."""
    caller: Mapping[str, Any] | None = None
    """Who made it, and whose its runs are: no client is shown this."""
    confidential: bytes | None = None
    """What `payload` leaves out; see `CronTable.whole_payload`."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which crons are meant: those that fit all of it."""

    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the cron's metadata contains."""
    allowed: Match = EVERYTHING
    """Which the caller may see at all, by their metadata."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions in SQL."""
        equal = {
            "assistant_id": self.assistant_id,
            "thread_id": self.thread_id,
            "enabled": self.enabled,
        }
        return conditions(crons, equal, self.metadata, self.allowed)


class CronTable(SearchedTable[Cron, SortBy]):
    """The rows. Every method raises StoreUnavailable or StoreMisconfigured as the database does."""

    table = crons
    row = Cron

    def __init__(self, database: Database, safe: Safe | None = None) -> None:
        super().__init__(database)
        self._safe = safe or Safe()

    async def create(self, cron: Cron) -> None:
        """Make a row under a new id."""
        made = insert(crons).values(_storable(values_of(cron)))
        await self._database.write(lambda c: c.execute(made))

    def divided(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns `payload` and `confidential` of what is asked of each run."""
        payload, confidential = split_request(asked)
        return {"payload": payload, "confidential": self._safe.seal(confidential)}

    def whole_payload(self, cron: Cron) -> dict[str, Any]:
        """Return what is asked of each run, its secrets included.

        Raises:
            StoreMisconfigured: they are encrypted with another key.
        """
        return merged(cron.payload, self._safe.unseal(cron.confidential))

    async def change(self, cron_id: str, values: Mapping[str, Any]) -> Cron | None:
        """Set columns of a row; `None` if there is none of this id."""
        changed = (
            update(crons)
            .where(crons.c.cron_id == cron_id)
            .values(**_storable(values), updated_at=datetime.now(UTC))
            .returning(crons)
        )
        row = await self._database.write(lambda c: c.execute(changed).mappings().one_or_none())
        return Cron(**row) if row else None

    async def delete(self, cron_id: str) -> bool:
        """Delete a row; `False` if there was none."""
        gone = delete(crons).where(crons.c.cron_id == cron_id)
        return await self._database.write(lambda c: c.execute(gone).rowcount == 1)

    async def next_due(self) -> datetime | None:
        """Say when the next run of all is due; `None` where none is."""
        first = select(crons.c.next_run_date).where(_WAITING).order_by(crons.c.next_run_date)
        return await self._database.read(lambda c: c.scalar(first.limit(1)))

    async def due(self, now: datetime, limit: int) -> list[Cron]:
        """Read the rows whose next run is due, the longest overdue first."""
        overdue = (
            select(crons)
            .where(_WAITING, crons.c.next_run_date <= now)
            .order_by(crons.c.next_run_date)
            .limit(limit)
        )
        return await self._read(overdue)

    async def move_on(self, cron: Cron, following: datetime | None) -> bool:
        """Move a due cron on to its following run; `False` if another has done so already."""
        moved = (
            update(crons)
            .where(
                crons.c.cron_id == cron.cron_id,
                crons.c.next_run_date == cron.next_run_date,
                crons.c.enabled,
            )
            .values(next_run_date=following)
        )
        return await self._database.write(lambda c: c.execute(moved).rowcount == 1)


COLUMNS = tuple(n for each in fields(Cron) if (n := each.name) not in {"caller", "confidential"})
"""What a client may `select` of a cron."""

_WAITING = crons.c.enabled & crons.c.next_run_date.is_not(None)


def _storable(row: Mapping[str, Any]) -> dict[str, Any]:
    objects = {name for name in ("payload", "metadata", "caller") if row.get(name) is not None}
    return {**row, **{name: storable(row[name]) for name in objects}}
