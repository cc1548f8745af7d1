"""The turns of the last hours are found by their time, however long the history is."""

from alembic import op

revision = "0015"
down_revision = "0014"

_NAME = "ix_chat_history_created_at"


def upgrade() -> None:
    """Make the index."""
    op.create_index(_NAME, "chat_history", ["created_at", "session_id"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index(_NAME, "chat_history")
