"""Rows from one database into another, whichever of the two kinds they are."""

from datetime import datetime

from sqlalchemy import Connection, Table, func, insert, select, text

from everturn.checkpoints.sql.tables import assistants, metadata, runs

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
    """Let a counted column go on behind the copied rows; SQLite does so by itself."""
    column = table.autoincrement_column
    if connection.dialect.name != "postgresql" or column is None:
        return
    newest = connection.scalar(select(func.max(column)))
    if newest is not None:
        name = connection.scalar(
            text("SELECT pg_get_serial_sequence(:table, :column)"),
            {"table": f"everturn.{table.name}", "column": column.name},
        )
        connection.scalar(select(func.setval(name, newest)))
