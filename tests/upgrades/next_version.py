"""Today's code with one migration more: the next version, as far as the database can tell."""

import shutil
from pathlib import Path

from everturn.checkpoints.sql.migrations import HEAD
from tests.service import ROOT

REVISION = "next"
_MIGRATION = f'''"""What a migration may do beside processes that do not know it."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = {REVISION!r}, {HEAD!r}


def upgrade() -> None:
    op.add_column("runs", sa.Column("mood", sa.Text(), nullable=True))
    fine = sa.Column("mood", sa.Text(), nullable=False, server_default="fine")
    op.add_column("threads", fine)
    op.create_table("moods", sa.Column("mood", sa.Text(), primary_key=True))
    op.create_index("ix_runs_mood", "runs", ["mood"])
'''


def make_next_version(folder: Path, migration: str = _MIGRATION) -> Path:
    """Make a checkout of the next version, which has all but `checkpoints` in common with this."""
    package = folder / "everturn"
    package.mkdir(parents=True)
    shutil.copy(ROOT / "everturn" / "__init__.py", package)
    for room in ("graph", "server", "tools"):
        (package / room).symlink_to(ROOT / room)
    shutil.copytree(ROOT / "checkpoints", package / "checkpoints")
    migrations = package / "checkpoints" / "sql" / "migrations"
    (migrations / "versions" / "next.py").write_text(migration)
    code = migrations / "__init__.py"
    code.write_text(code.read_text().replace(f'HEAD = "{HEAD}"', f'HEAD = "{REVISION}"'))
    return folder
