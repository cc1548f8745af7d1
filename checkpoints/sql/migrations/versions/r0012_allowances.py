"""What the owner of a key may, where it is another amount than what is set for all."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the column."""
    op.add_column("api_keys", sa.Column("allowance", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("api_keys", "allowance")
