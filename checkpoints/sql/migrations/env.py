"""Alembic runs this file: the migrations join the transaction that `bring_to_head` opened."""

from alembic import context

from everturn.checkpoints.sql.migrations import VERSION, schema_of
from everturn.checkpoints.sql.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION.name,
    version_table_schema=schema_of(connection),
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
