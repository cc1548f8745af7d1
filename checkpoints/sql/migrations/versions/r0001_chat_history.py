"""The chat history: one row a turn."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create `chat_history`."""
    op.create_table(
        "chat_history",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("user_message", sa.Text(), nullable=False),
        sa.Column("assistant_message", sa.Text(), nullable=False),
        sa.Column("tools_used", sa.JSON(), nullable=False),
        sa.Column("model_used", sa.Text(), nullable=False),
        sa.Column("tokens_used", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chat_history"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chat_history_session_id", "chat_history", ["session_id", "id"])


def downgrade() -> None:
    """Drop `chat_history`, with all that was said."""
    op.drop_table("chat_history")
