"""Alembic runs this file: the migrations join the transaction that `bring_to_head` opened."""

from alembic import context

from everturn.checkpoints.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
