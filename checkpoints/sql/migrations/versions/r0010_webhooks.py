"""Webhooks are kept until they are delivered; lists of threads have an index of their own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table and the index, which takes another one's place."""
    moment = sa.DateTime(timezone=True)
    document = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    op.create_table(
        "webhooks",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("confidential", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("metadata", document, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("due_at", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_webhooks"),
    )
    op.create_index("ix_webhooks_thread_id", "webhooks", ["thread_id"])
    op.create_index("ix_webhooks_due_at", "webhooks", ["due_at"])
    op.create_index("ix_webhooks_status", "webhooks", ["status", "updated_at"])
    op.create_index("ix_webhooks_created_at", "webhooks", ["created_at"])
    listed = ["updated_at", "thread_id", "kind", "status", "expires_at"]
    op.create_index("ix_threads_listed", "threads", listed)
    op.drop_index("ix_threads_updated_at", "threads")


def downgrade() -> None:
    """Drop them."""
    op.create_index("ix_threads_updated_at", "threads", ["updated_at"])
    op.drop_index("ix_threads_listed", "threads")
    op.drop_table("webhooks")
