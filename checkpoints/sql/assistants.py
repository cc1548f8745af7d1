"""The tables `assistants` and `assistant_versions`: choices for a graph, kept under a name.

An assistant's row is its latest version. Versions are numbered from 1 and never change; the
latest may be set back to an older one, and the next change counts on from the highest there is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.json_objects import contains, merged, storable
from everturn.checkpoints.sql.matches import EVERYTHING, Match
from everturn.checkpoints.sql.pages import read_page
from everturn.checkpoints.sql.searched import SearchedTable, conditions, values_of
from everturn.checkpoints.sql.searched import SortOrder as SortOrder  # noqa: PLC0414 - re-exported
from everturn.checkpoints.sql.tables import assistant_versions, assistants, crons

SortBy = Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"]

_MAX_VERSION = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantVersion:
    """What an assistant was, or is, at one of its versions; moments are aware and in UTC."""

    assistant_id: str
    graph_id: str
    name: str
    description: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assistant(AssistantVersion):
    """An assistant: its latest version, and when it came to be that. It was created before."""

    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What the next version has of its own; `None` stays as it was."""

    graph_id: str | None = None
    name: str | None = None
    description: str | None = None
    config: Mapping[str, Any] | None = None
    context: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    """Merged, key by key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which assistants are meant: those that fit all of it."""

    graph_id: str | None = None
    name: str | None = None
    """A part of the name, in capitals or not; SQLite takes patterns of up to 50,000 bytes."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the assistant's metadata contains."""
    allowed: Match = EVERYTHING
    """Which the caller may see at all, by their metadata."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions in SQL."""
        found = conditions(assistants, {"graph_id": self.graph_id}, self.metadata, self.allowed)
        if self.name:
            found.append(assistants.c.name.icontains(self.name, autoescape=True))
        return found


class AssistantTable(SearchedTable[Assistant, SortBy]):
    """The rows. Every method raises StoreUnavailable or StoreMisconfigured as the database does."""

    table = assistants
    row = Assistant

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._insert = sqlite.insert if database.dialect.name == "sqlite" else postgresql.insert

    async def create(self, *wanted: Assistant) -> int:
        """Make rows and their first versions; returns how many there were not yet.

        An assistant whose id is taken stays as it is.
        """
        # In one order everywhere, so that services that start together do not wait in a circle.
        rows = [_storable(values_of(each)) for each in sorted(wanted, key=lambda a: a.assistant_id)]

        def work(connection: Connection) -> int:
            made = 0
            for row in rows:
                new = self._insert(assistants).values(row).on_conflict_do_nothing()
                if connection.execute(new).rowcount == 1:
                    connection.execute(insert(assistant_versions).values(_version_of(row)))
                    made += 1
            return made

        return await self._database.write(work)

    async def change(self, assistant_id: str, changes: Changes) -> Assistant | None:
        """Make the next version; `None` if there is no such assistant."""
        values = _storable({k: v for k, v in values_of(changes).items() if v is not None})
        if "metadata" in values:
            values["metadata"] = merged(assistants.c.metadata, values["metadata"])
        of_this = assistant_versions.c.assistant_id == assistant_id
        highest = select(func.max(assistant_versions.c.version)).where(of_this).scalar_subquery()
        changed = (
            update(assistants)
            .where(assistants.c.assistant_id == assistant_id)
            .values(**values, version=highest + 1, updated_at=datetime.now(UTC))
            .returning(assistants)
        )

        def work(connection: Connection) -> Assistant | None:
            _lock(connection, assistant_id)
            row = connection.execute(changed).mappings().one_or_none()
            if row is None:
                return None
            version = _version_of(row) | {"created_at": row["updated_at"]}
            connection.execute(insert(assistant_versions).values(version))
            return Assistant(**row)

        return await self._database.write(work)

    async def set_latest(self, assistant_id: str, version: int) -> Assistant | None:
        """Make a version the latest again; `None` if there is no such assistant or version."""
        if not 1 <= version <= _MAX_VERSION:
            return None
        wanted = select(assistant_versions).where(
            assistant_versions.c.assistant_id == assistant_id,
            assistant_versions.c.version == version,
        )
        changed = update(assistants).where(assistants.c.assistant_id == assistant_id)

        def work(connection: Connection) -> Assistant | None:
            _lock(connection, assistant_id)
            found = connection.execute(wanted).mappings().one_or_none()
            if found is None:
                return None
            values = {k: v for k, v in found.items() if k != "created_at"}
            values["updated_at"] = datetime.now(UTC)
            latest = connection.execute(changed.values(values).returning(assistants))
            row = latest.mappings().one_or_none()
            return Assistant(**row) if row else None

        return await self._database.write(work)

    async def versions(
        self,
        assistant_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        limit: int,
        offset: int = 0,
    ) -> list[AssistantVersion]:
        """Read versions that contain this metadata, the newest first.

        Raises:
            ListTooLarge: together they are too large for one list.
        """
        page = (
            select(assistant_versions)
            .where(assistant_versions.c.assistant_id == assistant_id)
            .order_by(assistant_versions.c.version.desc())
            .limit(limit)
            .offset(offset)
        )
        key = assistant_versions.c.assistant_id, assistant_versions.c.version
        if metadata:
            page = page.where(contains(assistant_versions.c.metadata, metadata))
        return await self._database.search(
            lambda c: [AssistantVersion(**row) for row in read_page(c, page, *key)]
        )

    async def delete(self, assistant_id: str) -> bool:
        """Delete an assistant with its versions and crons; `False` if there was none."""
        gone = delete(assistants).where(assistants.c.assistant_id == assistant_id)

        def work(connection: Connection) -> bool:
            connection.execute(delete(crons).where(crons.c.assistant_id == assistant_id))
            return connection.execute(gone).rowcount == 1

        return await self._database.write(work)


def _lock(connection: Connection, assistant_id: str) -> None:
    """Let changes of one assistant follow one another, so that each sees all versions.

    SQLite has no such lock and needs none: its writers follow one another anyway, and each
    of their statements reads what is there when it writes.
    """
    row = select(assistants.c.version).where(assistants.c.assistant_id == assistant_id)
    connection.execute(row.with_for_update())


def _storable(row: dict[str, Any]) -> dict[str, Any]:
    objects = {"config", "context", "metadata"} & row.keys()
    return row | {name: storable(row[name]) for name in objects}


def _version_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {each.name: row[each.name] for each in fields(AssistantVersion)}
