"""Rows from one database into another, whichever of the two kinds they are."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Sequence, Table, func, insert, select, text

from everturn.checkpoints.sql.tables import SCHEMA, assistants, metadata, runs

_AT_ONCE = 200
_MADE_BY_THE_SERVICE = ("assistants", "assistant_versions")

MANY_SECONDS = 86_400.0
"""What copying may take."""


def snapshot(connection: Connection) -> None:
    """Begin a transaction that sees the rows as they are now, whatever is written meanwhile."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    else:
        connection.exec_driver_sql("BEGIN")  # its driver begins none to read


def copy_rows(source: Connection, target: Connection) -> int:
    """Copy all tables; returns how many rows."""
    copied = 0
    for table in metadata.sorted_tables:
        rows = source.execution_options(yield_per=_AT_ONCE).execute(select(table))
        for some in rows.mappings().partitions():
            target.execute(insert(table), [dict(row) for row in some])
            copied += len(some)
        _go_on_counting(target, table)
    return copied


def is_empty(connection: Connection) -> bool:
    """Say whether nothing is kept but the assistants of the graphs, which each start makes."""
    others = (each for each in metadata.sorted_tables if each.name not in _MADE_BY_THE_SERVICE)
    if any(connection.execute(select(table).limit(1)).first() for table in others):
        return False
    made = connection.scalars(select(assistants.c.metadata))
    return all(each.get("created_by") == "system" for each in made)


def clear(connection: Connection) -> None:
    """Delete all rows."""
    for table in reversed(metadata.sorted_tables):
        connection.execute(table.delete())


def posted_since(connection: Connection, moment: datetime) -> dict[str, str]:
    """Read which runs have come since a moment, and on which threads."""
    query = select(runs.c.run_id, runs.c.thread_id).where(runs.c.created_at >= moment)
    return {row.run_id: row.thread_id for row in connection.execute(query)}


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Let what PostgreSQL counts go on behind the copied rows; SQLite does so by itself."""
    if connection.dialect.name != "postgresql":
        return
    for column in table.columns:
        if sequence := _sequence_of(connection, column):
            newest = connection.scalar(select(func.max(column)))
            connection.scalar(select(func.setval(sequence, newest or 1, newest is not None)))


def _sequence_of(connection: Connection, column: Column[Any]) -> str | None:
    """Name what a column is counted by, if it is."""
    if isinstance(column.default, Sequence):
        return f"{SCHEMA}.{column.default.name}"
    if column is not column.table.autoincrement_column:
        return None
    names = {"table": f"{SCHEMA}.{column.table.name}", "column": column.name}
    name: str | None = connection.scalar(
        text("SELECT pg_get_serial_sequence(:table, :column)"), names
    )
    return name
