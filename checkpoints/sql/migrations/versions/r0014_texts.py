"""Texts of the store: found by their words, and by vectors that know which model made them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_FTS5 = """CREATE VIRTUAL TABLE store_words USING fts5(words, content='store_texts',
    content_rowid='number', tokenize='ascii', detail='none', columnsize=0)
----
CREATE TRIGGER store_texts_inserted AFTER INSERT ON store_texts WHEN new.words IS NOT NULL BEGIN
    INSERT INTO store_words (rowid, words) VALUES (new.number, new.words);
END
----
CREATE TRIGGER store_texts_deleted AFTER DELETE ON store_texts WHEN old.words IS NOT NULL BEGIN
    INSERT INTO store_words (store_words, rowid, words) VALUES ('delete', old.number, old.words);
END
----
CREATE TRIGGER store_texts_changed AFTER UPDATE OF words ON store_texts BEGIN
    INSERT INTO store_words (store_words, rowid, words)
        SELECT 'delete', old.number, old.words WHERE old.words IS NOT NULL;
    INSERT INTO store_words (rowid, words)
        SELECT new.number, new.words WHERE new.words IS NOT NULL;
END"""
_PLACE = "namespace, key, path"


def _exact(name: str) -> sa.Column[str]:
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    return sa.Column(name, text, nullable=False)


def upgrade() -> None:
    """Make the table, and move the vectors into it; their words are made later."""
    op.create_index("ix_store_items_latest", "store_items", ["namespace", "updated_at"])
    op.create_table(
        "store_texts",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        _exact("namespace"),
        _exact("key"),
        _exact("path"),
        sa.Column("words", sa.Text(), nullable=True),
        sa.Column("vector", sa.LargeBinary(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_store_texts"),
        sa.ForeignKeyConstraint(
            ["namespace", "key"],
            ["store_items.namespace", "store_items.key"],
            name="fk_store_texts_namespace",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_store_texts_place", "store_texts", ["namespace", "key", "path"], unique=True
    )
    op.create_index("ix_store_texts_newest", "store_texts", ["namespace", "number"])
    if op.get_bind().dialect.name == "sqlite":
        for statement in _FTS5.split("----"):
            op.execute(statement)
    else:
        words: Any = sa.text("array_to_tsvector(string_to_array(words, ' '))")
        op.create_index("ix_store_words", "store_texts", [words], postgresql_using="gin")
    op.execute(
        f"INSERT INTO store_texts ({_PLACE}, vector, model)"  # noqa: S608 - no value # nosec B608
        f" SELECT {_PLACE}, vector, '' FROM store_vectors"
    )
    op.drop_table("store_vectors")


def downgrade() -> None:
    """Move the vectors back; the words are lost."""
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
    op.execute(
        f"INSERT INTO store_vectors ({_PLACE}, vector)"  # noqa: S608 - no value # nosec B608
        f" SELECT {_PLACE}, vector FROM store_texts WHERE vector IS NOT NULL"
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE store_words")
    op.drop_table("store_texts")
    op.drop_index("ix_store_items_latest", "store_items")
