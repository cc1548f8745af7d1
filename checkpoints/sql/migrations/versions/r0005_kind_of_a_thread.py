"""Chat sessions are threads: a thread knows which of the two it is."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; what there is were threads. Sessions of before come from Redis at start."""
    op.add_column("threads", sa.Column("kind", sa.Text(), nullable=False, server_default="thread"))
    op.create_index("ix_threads_kind", "threads", ["kind", "created_at"])


def downgrade() -> None:
    """Drop the column."""
    op.drop_index("ix_threads_kind", "threads")
    op.drop_column("threads", "kind")
