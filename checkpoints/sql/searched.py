"""What the tables that clients search have in common: rows by id, pages of them, their number."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, func, select

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.json_objects import contains
from everturn.checkpoints.sql.matches import EVERYTHING, Match
from everturn.checkpoints.sql.pages import read_page
from everturn.checkpoints.sql.tables import Prose

Found = TypeVar("Found")
SortBy = TypeVar("SortBy", bound=str)
SortOrder = Literal["asc", "desc"]


class Conditions(Protocol):
    """Which rows are meant."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions in SQL; a row has to meet all of them."""
        ...


class SearchedTable(Generic[Found, SortBy]):
    """A table with a text as its primary key, whose rows are read as objects.

    A subclass names the table and the class of its rows. Every method raises StoreUnavailable or
    StoreMisconfigured as the database does; those that search SearchTimeout, too.
    """

    table: ClassVar[Table[Any]]
    columns: ClassVar[Sequence[Column[Any]]] = ()
    """What is read of a row, where that is not all of it."""
    row: type[Found]
    default_sort: ClassVar[str] = "created_at"

    def __init__(self, database: Database) -> None:
        self._database = database
        (self._id,) = self.table.primary_key.columns
        self._rows_wanted = select(*self.columns) if self.columns else select(self.table)

    async def get(self, row_id: str) -> Found | None:
        """Return the row of this id; `None` if there is none."""
        rows = await self._read(self._rows_wanted.where(self._id == row_id))
        return rows[0] if rows else None

    async def search(
        self,
        wanted: Conditions,
        *,
        limit: int,
        offset: int = 0,
        sort_by: SortBy | None = None,
        sort_order: SortOrder = "desc",
        without: Collection[str] = (),
    ) -> list[Found]:
        """Read one page of the rows that fit; in prose, capitals count as small letters.

        Args:
            wanted: which rows.
            limit: how many at most.
            offset: how many of them to pass over.
            sort_by: the column that orders them.
            sort_order: which end comes first.
            without: columns that are not read; the row has their defaults.

        Raises:
            ListTooLarge: together they are too large for one list.
        """
        column = self.table.c[sort_by or self.default_sort]
        first = func.lower(column) if isinstance(column.type, Prose) else column
        # The id, so that pages do not overlap where rows tie.
        order = [first, self._id] if column is not self._id else [first]
        page = (
            select(*(each for each in self.columns or self.table.c if each.name not in without))
            .where(*wanted.conditions())
            .order_by(*(each.desc() if sort_order == "desc" else each.asc() for each in order))
            .limit(limit)
            .offset(offset)
        )
        return await self._database.search(
            lambda c: [self.row(**row) for row in read_page(c, page, self._id)]
        )

    async def ids(self, wanted: Conditions, *, limit: int, offset: int = 0) -> list[str]:
        """Read the ids of rows that fit, in their order."""
        page = select(self._id).where(*wanted.conditions()).order_by(self._id)
        return await self._database.search(
            lambda c: list(c.scalars(page.limit(limit).offset(offset)))
        )

    async def count(self, wanted: Conditions) -> int:
        """Count the rows that fit."""
        counted = select(func.count()).select_from(self.table).where(*wanted.conditions())
        return await self._database.search(lambda c: c.scalar(counted) or 0)

    async def _read(self, query: Select[Any]) -> list[Found]:
        return await self._database.read(partial(self._rows, query))

    def _rows(self, query: Select[Any], connection: Connection) -> list[Found]:
        return [self.row(**row) for row in connection.execute(query).mappings()]


def values_of(row: Any) -> dict[str, Any]:
    """Return a row's values by their columns; `asdict` would copy all that is inside them."""
    return {each.name: getattr(row, each.name) for each in fields(row)}


def conditions(
    table: Table[Any],
    equal: Mapping[str, Any],
    metadata: Mapping[str, Any],
    allowed: Match = EVERYTHING,
) -> list[ColumnElement[bool]]:
    """Match rows by columns that equal a value, where it is not None, and by their metadata.

    `allowed` is what the metadata of those must be that the caller may see at all.
    """
    found: list[ColumnElement[bool]] = [
        table.c[name] == value for name, value in equal.items() if value is not None
    ]
    if metadata:
        found.append(contains(table.c.metadata, metadata))
    if allowed is not EVERYTHING:
        found.append(allowed.condition(table.c.metadata))
    return found
