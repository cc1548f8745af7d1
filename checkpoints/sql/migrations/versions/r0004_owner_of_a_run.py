"""Runs know the process that runs them, and how many have begun them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; runs from before have no owner, and are taken over where they are open."""
    op.add_column("runs", sa.Column("owner", sa.Text(), nullable=True))
    attempts = sa.Column("attempts", sa.Integer(), nullable=False, server_default="1")
    op.add_column("runs", attempts)


def downgrade() -> None:
    """Drop the columns."""
    op.drop_column("runs", "attempts")
    op.drop_column("runs", "owner")
