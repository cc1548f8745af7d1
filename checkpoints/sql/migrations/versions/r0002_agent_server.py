"""What the Agent Server API keeps: assistants with their versions, threads, runs and crons."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"


def _object() -> Any:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def upgrade() -> None:
    """Create the five tables."""
    op.create_table(
        "assistants",
        _text("assistant_id"),
        _text("graph_id"),
        _text("name"),
        _text("description", nullable=True),
        sa.Column("config", _object(), nullable=False),
        sa.Column("context", _object(), nullable=False),
        sa.Column("metadata", _object(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("assistant_id", name="pk_assistants"),
    )
    op.create_index("ix_assistants_graph_id", "assistants", ["graph_id"])
    op.create_index("ix_assistants_created_at", "assistants", ["created_at"])
    op.create_table(
        "assistant_versions",
        _text("assistant_id"),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        _text("graph_id"),
        _text("name"),
        _text("description", nullable=True),
        sa.Column("config", _object(), nullable=False),
        sa.Column("context", _object(), nullable=False),
        sa.Column("metadata", _object(), nullable=False),
        _moment("created_at"),
        sa.PrimaryKeyConstraint("assistant_id", "version", name="pk_assistant_versions"),
        sa.ForeignKeyConstraint(
            ["assistant_id"],
            ["assistants.assistant_id"],
            name="fk_assistant_versions_assistant_id",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "threads",
        _text("thread_id"),
        _text("status"),
        sa.Column("metadata", _object(), nullable=False),
        sa.Column("config", _object(), nullable=False),
        sa.Column("interrupts", _object(), nullable=False),
        sa.Column("error", _object(), nullable=True),
        sa.Column("ttl", _object(), nullable=True),
        _moment("created_at"),
        _moment("updated_at"),
        _moment("state_updated_at"),
        _moment("expires_at", nullable=True),
        sa.PrimaryKeyConstraint("thread_id", name="pk_threads"),
    )
    for column in ("created_at", "updated_at", "expires_at"):
        op.create_index(f"ix_threads_{column}", "threads", [column])
    op.create_table(
        "runs",
        _text("run_id"),
        _text("thread_id"),
        _text("assistant_id"),
        _text("status"),
        sa.Column("metadata", _object(), nullable=False),
        sa.Column("kwargs", _object(), nullable=False),
        _text("multitask_strategy"),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
    )
    op.create_index("ix_runs_thread_id", "runs", ["thread_id", "created_at"])
    op.create_index("ix_runs_status", "runs", ["status"])
    op.create_table(
        "crons",
        _text("cron_id"),
        _text("assistant_id"),
        _text("thread_id", nullable=True),
        _text("schedule"),
        _text("timezone", nullable=True),
        sa.Column("payload", _object(), nullable=False),
        sa.Column("metadata", _object(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        _text("on_run_completed", nullable=True),
        _moment("end_time", nullable=True),
        _moment("next_run_date", nullable=True),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("cron_id", name="pk_crons"),
    )
    op.create_index("ix_crons_assistant_id", "crons", ["assistant_id"])
    op.create_index("ix_crons_next_run_date", "crons", ["next_run_date"])


def downgrade() -> None:
    """Drop the five tables."""
    for table in ("crons", "runs", "threads", "assistant_versions", "assistants"):
        op.drop_table(table)
