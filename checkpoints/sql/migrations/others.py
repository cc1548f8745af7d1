"""What else is in the database: worth a word at the start."""

from sqlalchemy import Connection, text

from everturn.checkpoints.sql.migrations import VERSION
from everturn.checkpoints.sql.tables import SCHEMA, WORDS, metadata

_POSTGRESQL = text(
    "SELECT count(*) FROM pg_tables"
    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema', :ours)"
)
_SQLITE = text(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
)


def count_tables_of_others(connection: Connection) -> int:
    """Count the tables that Everturn did not make."""
    if connection.dialect.name == "postgresql":
        return connection.scalar(_POSTGRESQL, {"ours": SCHEMA}) or 0
    ours = {*metadata.tables, VERSION.name}
    found = (name for name in connection.scalars(_SQLITE) if not name.startswith(WORDS))
    return len(set(found) - ours)
