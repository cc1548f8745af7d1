"""Runs and crons know whose they are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns; what there is was asked for by nobody in particular."""
    for table in ("runs", "crons"):
        document = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
        op.add_column(table, sa.Column("caller", document, nullable=True))


def downgrade() -> None:
    """Drop the columns."""
    for table in ("runs", "crons"):
        op.drop_column(table, "caller")
