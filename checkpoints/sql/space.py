"""The room that the database takes, and giving back what deleted rows have left of it.

PostgreSQL looks after its own. A SQLite file keeps the pages of deleted rows; one that Everturn has
made gives them back a few at a time, an older one when it is written anew as a whole.
"""

from typing import Any

from sqlalchemy import Connection, text

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.tables import SCHEMA

_SLICE = 500
"""Pages, 2 MB: moved in a few milliseconds, for which writers wait."""
_LEAST_FREE = 1000
"""Pages that may lie free: the next rows take them."""
_SECONDS = 3600.0
_INCREMENTAL = 2

_POSTGRESQL = text(
    "SELECT COALESCE(sum(pg_total_relation_size(pg_class.oid)), 0) FROM pg_class"
    " JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE nspname = :ours AND relkind = 'r'"
)


class Space:
    """Measures and shrinks one database. Methods raise as those of `Database` do."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sqlite = database.dialect.name == "sqlite"

    async def used(self) -> int:
        """Return the bytes of all tables, of a SQLite file those of deleted rows included."""
        return await self._database.search(self._used)

    def _used(self, connection: Connection) -> int:
        if self._sqlite:
            return _pragma(connection, "page_count") * _pragma(connection, "page_size")
        return int(connection.scalar(_POSTGRESQL, {"ours": SCHEMA}) or 0)

    async def give_back(self, least: int = _LEAST_FREE) -> None:
        """Give free pages back, where there are more than a few and the file can do it."""
        if not self._sqlite or await self._mode() != _INCREMENTAL:
            return
        while await self._free() > least:
            await self._database.write(_give_slice_back)

    async def write_anew(self) -> None:
        """Write a file anew that cannot give pages back; then it can. Its writers wait meanwhile.

        Raises:
            StoreUnavailable: others write, and did not pause.
        """
        if self._sqlite and await self._mode() != _INCREMENTAL:
            await self._database.search(_vacuum, seconds=_SECONDS)

    async def _mode(self) -> int:
        return await self._database.search(lambda c: _pragma(c, "auto_vacuum"))

    async def _free(self) -> int:
        return await self._database.search(lambda c: _pragma(c, "freelist_count"))

    async def close_log(self) -> None:
        """Put what SQLite has written to its log into the file, and empty the log."""
        if self._sqlite:
            await self._database.search(lambda c: _pragma(c, "wal_checkpoint(TRUNCATE)"))


def _pragma(connection: Connection, name: str) -> int:
    rows: Any = connection.exec_driver_sql(f"PRAGMA {name}").all()
    return int(rows[0][0]) if rows else 0


def _give_slice_back(connection: Connection) -> None:
    # It frees a page a step, and as it returns no rows, only a script is stepped to its end.
    driver: Any = connection.connection.driver_connection
    driver.executescript(f"PRAGMA incremental_vacuum({_SLICE})")


def _vacuum(connection: Connection) -> None:
    connection.exec_driver_sql(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
    connection.exec_driver_sql("VACUUM")
