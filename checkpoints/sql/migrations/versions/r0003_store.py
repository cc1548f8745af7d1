"""The store: items in namespaces, and vectors to find them by meaning."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def _exact(name: str) -> sa.Column[str]:
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    return sa.Column(name, text, nullable=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "store_items",
        _exact("namespace"),
        _exact("key"),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("ttl", sa.Double(), nullable=True),
        _moment("created_at"),
        _moment("updated_at"),
        _moment("expires_at", nullable=True),
        sa.PrimaryKeyConstraint("namespace", "key", name="pk_store_items"),
    )
    op.create_index("ix_store_items_expires_at", "store_items", ["expires_at"])
    op.create_table(
        "store_vectors",
        _exact("namespace"),
        _exact("key"),
        _exact("path"),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "key", "path", name="pk_store_vectors"),
        sa.ForeignKeyConstraint(
            ["namespace", "key"],
            ["store_items.namespace", "store_items.key"],
            name="fk_store_vectors_namespace",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("store_vectors")
    op.drop_table("store_items")
