"""Pages of rows that may be large: one that is too large is refused before it fills the memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
)

from everturn.checkpoints.bounds import MAX_LIST_BYTES, check_size
from everturn.checkpoints.sql.tables import Prose

FEW = 16
"""A page of so few rows is never refused: a row is about as large as a request's body may be."""
_SIZE = "_size"


def read_page(connection: Connection, page: Select[Any]) -> Sequence[Mapping[Any, Any]]:
    """Read the rows of a page that has a limit, in their order.

    Raises:
        ListTooLarge: together they are too large for one list.
    """
    limit = page._limit  # noqa: SLF001 - SQLAlchemy has no other way to ask
    if limit is not None and limit <= FEW:
        return [*connection.execute(page).mappings()]
    sized = page.add_columns(size_of(page.selected_columns, connection.dialect).label(_SIZE))
    if connection.dialect.name == "sqlite":
        return list(_while_they_fit(connection, sized))
    return _if_they_fit(connection, sized)


def _while_they_fit(connection: Connection, page: Select[Any]) -> Iterator[Mapping[str, Any]]:
    """Take rows one after the other, as SQLite finds them."""
    total = 0
    with connection.execute(page) as rows:
        for row in rows.mappings():
            shown = dict(row)
            total += shown.pop(_SIZE)
            check_size(total)
            yield shown


def _if_they_fit(connection: Connection, page: Select[Any]) -> Sequence[Mapping[Any, Any]]:
    """Have the server sum up first: it sends all rows of an answer, or with a cursor, in parts."""
    found = page.cte()
    total = select(func.coalesce(func.sum(found.c[_SIZE]), 0))
    columns = [column for column in found.c if column.name != _SIZE]
    # A scan of a CTE keeps its order.
    fitting = select(*columns).where(total.scalar_subquery() <= MAX_LIST_BYTES)
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
