"""Runs and crons keep their secrets apart from what is shown of them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns; what there is keeps its secrets where they are, and shows them no more."""
    for table in ("runs", "crons"):
        op.add_column(table, sa.Column("confidential", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Drop the columns."""
    for table in ("runs", "crons"):
        op.drop_column(table, "confidential")
