"""On SQLite, the positions of deleted runs are not given again: clients know events by them."""

from alembic import op

revision = "0013"
down_revision = "0012"

_TRIGGER = """CREATE TRIGGER runs_position BEFORE DELETE ON runs BEGIN
    INSERT INTO sqlite_sequence (name, seq) SELECT 'runs_position', 0
        WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'runs_position');
    UPDATE sqlite_sequence SET seq = max(seq, coalesce(OLD.position, 0))
        WHERE name = 'runs_position';
END"""


def upgrade() -> None:
    """Note the newest position that was deleted, among the counts that SQLite keeps."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(_TRIGGER)


def downgrade() -> None:
    """Forget it."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER runs_position")
