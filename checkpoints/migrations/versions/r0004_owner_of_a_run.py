"""Runs know the process that runs them, so that others can tell whose have died."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; runs from before have no owner, and are taken over where they are open."""
    op.add_column("runs", sa.Column("owner", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("runs", "owner")
