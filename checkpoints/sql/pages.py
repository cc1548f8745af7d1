"""Pages of rows that may be large: one that is too large is refused before it fills the memory."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Dialect,
    Integer,
    LargeBinary,
    Select,
    func,
    literal_column,
    select,
    tuple_,
)

from everturn.checkpoints.bounds import MAX_LIST_BYTES, check_size
from everturn.checkpoints.sql.tables import Prose

FEW = 16
"""A page of so few rows is never refused: a row is about as large as a request's body may be."""
_KEYS_AT_ONCE = 500
_SIZE = "_size"


def read_page(
    connection: Connection, page: Select[Any], *key: ColumnElement[Any]
) -> Sequence[Mapping[Any, Any]]:
    """Read the rows of a page that has a limit, in their order.

    Args:
        connection: to the database.
        page: of one table.
        key: the table's primary key, which is among the page's columns.

    Raises:
        ListTooLarge: together they are too large for one list.
    """
    limit = page._limit  # noqa: SLF001 - SQLAlchemy has no other way to ask
    if limit is not None and limit <= FEW:
        return [*connection.execute(page).mappings()]
    if connection.dialect.name == "sqlite":
        return _while_they_fit(connection, page, key)
    return _if_they_fit(connection, page)


def _while_they_fit(
    connection: Connection, page: Select[Any], key: Sequence[ColumnElement[Any]]
) -> list[Mapping[Any, Any]]:
    """Take rows one after the other, as SQLite finds them.

    Their keys come first: to bring rows into their order, SQLite would copy them whole.
    """
    places = [tuple(place) for place in connection.execute(page.with_only_columns(*key))]
    columns = list(page.selected_columns)
    sized = select(*columns, size_of(columns, connection.dialect).label(_SIZE))
    found: dict[tuple[Any, ...], Mapping[Any, Any]] = {}
    total = 0
    for start in range(0, len(places), _KEYS_AT_ONCE):
        here = _at(key, places[start : start + _KEYS_AT_ONCE])
        with connection.execute(sized.where(here)) as rows:
            for row in rows.mappings():
                shown = dict(row)
                total += shown.pop(_SIZE)
                check_size(total)
                found[tuple(row[column] for column in key)] = shown
    return [found[place] for place in places if place in found]


def _at(
    key: Sequence[ColumnElement[Any]], places: Sequence[tuple[Any, ...]]
) -> ColumnElement[bool]:
    if len(key) > 1:
        return tuple_(*key).in_(places)
    return key[0].in_([place for (place,) in places])


def _if_they_fit(connection: Connection, page: Select[Any]) -> Sequence[Mapping[Any, Any]]:
    """Have PostgreSQL sum up first: it sends all rows of an answer, or with a cursor, in parts."""
    found = page.cte()
    size = func.sum(size_of(found.c, connection.dialect))
    total = select(func.coalesce(size, 0)).select_from(found)
    # A scan of a CTE keeps its order.
    fitting = select(found).where(total.scalar_subquery() <= MAX_LIST_BYTES)
    rows = [*connection.execute(fitting).mappings()]
    if not rows:
        check_size(int(connection.scalar(total) or 0))
    return rows


def size_of(columns: Iterable[ColumnElement[Any]], dialect: Dialect) -> ColumnElement[int]:
    """Say in SQL how many bytes a row of one table has in its large columns."""
    large = (each.name for each in columns if isinstance(each.type, JSON | Prose | LargeBinary))
    return _sum_of(tuple(large), sqlite=dialect.name == "sqlite")


@cache
def _sum_of(names: tuple[str, ...], *, sqlite: bool) -> ColumnElement[int]:
    # As text: SQLAlchemy would go through a tree of expressions at each execution.
    each = "length(CAST({} AS BLOB))" if sqlite else "octet_length(CAST({} AS TEXT))"
    sizes = [f"coalesce({each.format(name)}, 0)" for name in names]
    return literal_column(" + ".join(sizes) or "0", Integer)
