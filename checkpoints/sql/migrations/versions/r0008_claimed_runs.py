"""Runs wait in their table until a process takes them, in an order that the database keeps."""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from everturn.checkpoints.sql.tables import UtcDateTime

revision = "0008"
down_revision = "0007"

_UNFINISHED = sa.text("status IN ('pending', 'running')")
_SEQUENCE = sa.Sequence("runs_position")


def upgrade() -> None:
    """Add the columns; what there is keeps its order, and when it is due."""
    op.add_column("runs", sa.Column("position", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("due_at", UtcDateTime(), nullable=True))
    deaths = sa.Column("deaths", sa.Integer(), nullable=False, server_default="0")
    op.add_column("runs", deaths)
    op.execute(
        "UPDATE runs SET position = o.n FROM (SELECT run_id, row_number() OVER"
        " (ORDER BY created_at, run_id) AS n FROM runs) AS o WHERE o.run_id = runs.run_id"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.schema.CreateSequence(_SEQUENCE))
        op.execute(
            "SELECT setval('runs_position', coalesce((SELECT max(position) FROM runs), 0) + 1)"
        )
    _delays()
    op.drop_index("ix_runs_thread_id", "runs")
    op.create_index("ix_runs_thread_id", "runs", ["thread_id", "position"])
    op.create_index("ix_runs_position", "runs", ["position"])
    op.create_index(
        "ix_runs_unfinished",
        "runs",
        ["thread_id", "position"],
        postgresql_where=_UNFINISHED,
        sqlite_where=_UNFINISHED,
    )


def _delays() -> None:
    """Write down when delayed runs are due."""
    runs = sa.table(
        "runs",
        sa.column("run_id", sa.Text),
        sa.column("kwargs", sa.JSON),
        sa.column("created_at", UtcDateTime),
        sa.column("due_at", UtcDateTime),
    )
    connection = op.get_bind()
    waiting = sa.select(runs.c.run_id, runs.c.kwargs, runs.c.created_at).where(_UNFINISHED)
    for run_id, kwargs, created_at in connection.execute(waiting).all():
        if seconds := kwargs.get("after_seconds"):
            due_at = created_at + timedelta(seconds=seconds)
            connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(due_at=due_at))


def downgrade() -> None:
    """Drop the columns."""
    op.drop_index("ix_runs_unfinished", "runs")
    op.drop_index("ix_runs_position", "runs")
    op.drop_index("ix_runs_thread_id", "runs")
    op.create_index("ix_runs_thread_id", "runs", ["thread_id", "created_at"])
    for column in ("deaths", "due_at", "position"):
        op.drop_column("runs", column)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.schema.DropSequence(_SEQUENCE))
