"""Tables of an earlier Everturn, which lay among the tables of an application.

Their version was in `alembic_version`, a name that an application may use for its own: it is ours
only where our tables are there, too.
"""

from sqlalchemy import Connection, inspect, text
from sqlalchemy.schema import CreateSchema

from everturn.checkpoints.sql.tables import SCHEMA, chat_history

_VERSION = "alembic_version"
_MADE = {  # by the revision that made them
    "0001": ("chat_history",),
    "0002": ("assistants", "assistant_versions", "threads", "runs", "crons"),
    "0003": ("store_items", "store_vectors"),
    "0009": ("idempotency_keys",),
    "0010": ("webhooks",),
    "0011": ("api_keys",),
    "0014": ("store_texts",),
}
_DROPPED = {"store_vectors": "0014"}


def move_earlier(connection: Connection, head: str) -> str | None:
    """Move the tables to where they are today, and drop the version table that they had.

    Called in the transaction of `bring_to_head`. `head` is the newest revision there is.

    Returns:
        The revision that the tables are at; `None` where there are none of an earlier Everturn.
    """
    if connection.dialect.name != "postgresql":
        revision = _earlier_revision(connection, None, head)
        if revision:
            connection.exec_driver_sql(f"DROP TABLE {_VERSION}")
        return revision
    schema = connection.scalar(
        text(
            "SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE pg_class.oid = to_regclass(:version)"
        ),
        {"version": _VERSION},
    )
    revision = _earlier_revision(connection, schema, head) if schema else None
    if schema is None or revision is None:
        return None
    place = connection.dialect.identifier_preparer.quote(schema)
    if schema != SCHEMA:
        if not inspect(connection).has_schema(SCHEMA):
            connection.execute(CreateSchema(SCHEMA))
        for table in _tables_at(revision):  # with their indexes, sequences and rows
            connection.exec_driver_sql(f"ALTER TABLE {place}.{table} SET SCHEMA {SCHEMA}")
    connection.exec_driver_sql(f"DROP TABLE {place}.{_VERSION}")
    return revision


def _earlier_revision(connection: Connection, schema: str | None, head: str) -> str | None:
    """Read the revision, and say `None` where it or the tables are an application's."""
    found = inspect(connection)
    names = set(found.get_table_names(schema))
    if not {_VERSION, chat_history.name} <= names:
        return None
    where = f"{connection.dialect.identifier_preparer.quote(schema)}." if schema else ""
    stored = connection.exec_driver_sql(f"SELECT version_num FROM {where}{_VERSION}").scalars()  # noqa: S608 - no value of a user # nosec B608
    revisions = [str(each) for each in stored]
    if len(revisions) != 1 or not (
        len(revisions[0]) == len(head) and "0001" <= revisions[0] <= head
    ):
        return None
    columns = {column["name"] for column in found.get_columns(chat_history.name, schema)}
    ours = columns == set(chat_history.c.keys()) and names.issuperset(_tables_at(revisions[0]))
    return revisions[0] if ours else None


def _tables_at(revision: str) -> list[str]:
    made = [table for at, tables in _MADE.items() if at <= revision for table in tables]
    return [table for table in made if _DROPPED.get(table, "9999") > revision]
