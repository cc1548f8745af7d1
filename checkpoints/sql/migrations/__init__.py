"""The schema's history, and bringing a database to its end at start.

To change the schema: change `tables.py`, add a file to `versions/` beside the newest one, and move
`HEAD`. A test compares both on SQLite and PostgreSQL and prints what differs. Processes of the
release before go on beside a new revision; docs/upgrades.md says what it may do, and a test checks.

The revision speaks for Redis, too: a format there that earlier versions cannot read comes with a
revision, be it an empty one, so that they refuse to start.
"""

from pathlib import Path
from time import monotonic

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateSchema

from everturn import __version__
from everturn.checkpoints.errors import StoreMisconfigured
from everturn.checkpoints.sql.migrations.earlier import move_earlier
from everturn.checkpoints.sql.tables import SCHEMA, metadata

HEAD = "0015"
"""The newest revision in `versions/`. Alembic could tell, but its import costs more than all else
at start (0.1 to 0.4 s), so it is loaded for an old database only."""

SCRIPTS = Path(__file__).parent

VERSION = Table(  # as Alembic itself creates it; `alembic_version` is for an application's own
    "everturn_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="everturn_version_pkc"),
)
_ADVISORY_LOCK = 0x65766572_7475726E
"""PostgreSQL's advisory locks have numbers for names: "everturn" in ASCII."""
_LOCK_SECONDS = 60
_LOCK_AT_ONCE = "500ms"
"""That a migration waits for a table. Whoever asks for the table later waits behind it, so it is
less than a service waits for an answer, and less than PostgreSQL waits to look for deadlocks."""
_LOCKED = "55P03"


def is_at_head(connection: Connection) -> bool:
    """Say whether there is nothing to do."""
    return _revision(connection) == HEAD


def refuse_newer(connection: Connection) -> None:
    """Refuse what a newer Everturn has migrated, where nothing else is migrated either.

    Raises:
        StoreMisconfigured: it has; says what to do.
    """
    revision = _revision(connection)
    if revision is not None and revision > HEAD:
        raise _unknown(revision)


def bring_to_head(connection: Connection) -> None:
    """Create or migrate the schema in a transaction; of several processes at once, one does it.

    On SQLite it is the transaction of `Database.write`, which keeps other writers out.

    Tables that an earlier Everturn made among an application's own are moved first.

    Raises:
        StoreMisconfigured: a newer Everturn has migrated this database.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        _give_way(connection)
    else:
        _bring(connection)


def _give_way(connection: Connection) -> None:
    """Do it without making other processes wait: a table that is in use is tried again later."""
    end = monotonic() + _LOCK_SECONDS
    while True:
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_AT_ONCE}'")
                _bring(connection)
                return
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCKED or monotonic() > end:
                raise
            connection.exec_driver_sql("SELECT pg_sleep(0.5)")


def _bring(connection: Connection) -> None:
    revision = _revision(connection)
    if revision is None and (revision := move_earlier(connection, HEAD)):
        _record(connection, revision)
    if revision is None:
        _create(connection)
    elif revision != HEAD:  # else another process was faster
        _migrate(connection, revision)


def schema_of(connection: Connection) -> str | None:
    """Where our tables are, in words for `inspect`, which knows nothing of the engine's map."""
    return SCHEMA if connection.dialect.name == "postgresql" else None


def _revision(connection: Connection) -> str | None:
    """Read which revision the database is at; `None` for a database without our tables."""
    if not inspect(connection).has_table(VERSION.name, schema=schema_of(connection)):
        return None
    return connection.scalar(select(VERSION.c.version_num))


def _create(connection: Connection) -> None:
    """Make a new database from today's tables: the same schema as by migrating, without Alembic."""
    found, schema = inspect(connection), schema_of(connection)
    if schema and not found.has_schema(schema):
        connection.execute(CreateSchema(schema))
    if taken := metadata.tables.keys() & set(found.get_table_names(schema)):
        raise StoreMisconfigured(
            f"the database has tables named {', '.join(sorted(taken))} that Everturn did not make:"
            " give it a database of its own"
        )
    metadata.create_all(connection, checkfirst=False)
    _record(connection, HEAD)


def _record(connection: Connection, revision: str) -> None:
    VERSION.create(connection, checkfirst=False)
    connection.execute(insert(VERSION).values(version_num=revision))


def _unknown(revision: str) -> StoreMisconfigured:
    return StoreMisconfigured(
        f"the database is at revision {revision}, which this Everturn does not know"
        f" ({__version__}, whose newest is {HEAD}): run the version that migrated it or a newer"
        " one, or restore the backup that was made before; see docs/upgrades.md"
    )


def _migrate(connection: Connection, revision: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision not in known:
        raise _unknown(revision)
    if schema := schema_of(connection):
        # Alembic's own statements do not go by the engine's map. For this transaction only.
        connection.exec_driver_sql(f"SET LOCAL search_path TO {schema}")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
