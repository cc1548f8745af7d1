"""What a migration may do while processes of the release before are still at work.

It may add: tables, columns that need no value, indexes. What takes away comes a release later, when
nothing uses it any more; such a migration names the last release that did, as `last_used_in`.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from everturn.checkpoints.sql import migrations
from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.tables import SCHEMA
from tests.checkpoints.stores import new_postgres_database
from tests.upgrades.data import RELEASES, numbers
from tests.upgrades.harm import harm, tables
from tests.waiting import PATIENCE

BEFORE_THE_RULE = "0014"
"""The newest revision that is older than the rule."""


def is_permitted(last_used_in: str | None) -> bool:
    """Whether a release has come since that uses no more what a migration takes away."""
    if last_used_in is None:
        return False
    return any(each.release > numbers(last_used_in) for each in RELEASES)


def to_come() -> list[Script]:
    """Return the revisions that the rule is for, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(migrations.SCRIPTS))
    scripts = ScriptDirectory.from_config(config)
    return [*scripts.iterate_revisions("head", BEFORE_THE_RULE)][::-1]


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/everturn.db"
    else:
        async with new_postgres_database() as database:
            yield database.render_as_string(hide_password=False)


async def test_migrations_leave_processes_of_the_release_before_alone(
    url: str, tmp_path: Path
) -> None:
    def one_by_one(connection: Connection) -> dict[str, set[str]]:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL search_path TO {SCHEMA}"))
        config = Config()
        config.set_main_option("script_location", str(migrations.SCRIPTS))
        config.attributes["connection"] = connection
        command.downgrade(config, BEFORE_THE_RULE)
        found, before = {}, tables(connection)
        for script in to_come():
            command.upgrade(config, script.revision)
            after = tables(connection)
            if not is_permitted(getattr(script.module, "last_used_in", None)):
                found[script.revision] = harm(before, after)
            before = after
        return {revision: harms for revision, harms in found.items() if harms}

    async with open_database(url, tmp_path) as database:
        assert await database.write(one_by_one, seconds=PATIENCE) == {}, (
            "see docs/upgrades.md: add now, and take away in a later release"
        )


def _batched(change: Callable[[Any], object]) -> Callable[[Operations], None]:
    def apply(op: Operations) -> None:
        with op.batch_alter_table("cups") as cups:
            change(cups)

    return apply


CASES: dict[str, tuple[Callable[[Any], object], set[str]]] = {
    "a table more": (lambda op: op.create_table("pots", sa.Column("id", sa.Integer())), set()),
    "a column that may be empty": (
        lambda op: op.add_column("cups", sa.Column("size", sa.Integer(), nullable=True)),
        set(),
    ),
    "a column with a value of its own": (
        lambda op: op.add_column(
            "cups", sa.Column("size", sa.Integer(), nullable=False, server_default="3")
        ),
        set(),
    ),
    "an index": (lambda op: op.create_index("ix_cups_color", "cups", ["color"]), set()),
    "a table less": (lambda op: op.drop_table("cups"), {"drops cups"}),
    "another name of a table": (lambda op: op.rename_table("cups", "mugs"), {"drops cups"}),
    "a column less": (_batched(lambda cups: cups.drop_column("color")), {"drops cups.color"}),
    "a column that demands a value": (
        _batched(lambda cups: cups.add_column(sa.Column("size", sa.Integer(), nullable=False))),
        {"demands a value of cups.size"},
    ),
    "a value that is demanded now": (
        _batched(lambda cups: cups.alter_column("color", nullable=False)),
        {"demands a value of cups.color"},
    ),
    "a default less": (
        _batched(lambda cups: cups.alter_column("full", server_default=None)),
        {"demands a value of cups.full"},
    ),
    "another type": (
        _batched(lambda cups: cups.alter_column("color", type_=sa.Integer())),
        {"makes cups.color INTEGER"},
    ),
    "values that must differ": (
        lambda op: op.create_index("ix_cups_color", "cups", ["color"], unique=True),
        {"demands of cups: unique ['color']"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_harms(case: str) -> None:
    change, expected = CASES[case]
    with create_engine("sqlite://").begin() as connection:
        op = Operations(MigrationContext.configure(connection))
        op.create_table(
            "cups",
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("color", sa.Text(), nullable=True),
            sa.Column("full", sa.Boolean(), nullable=False, server_default="0"),
        )
        before = tables(connection)
        change(op)
        assert harm(before, tables(connection)) == expected


def test_what_a_release_still_uses_is_not_taken_away() -> None:
    newest = RELEASES[-1].path.name
    assert not is_permitted(None)
    assert not is_permitted(newest)
    assert is_permitted("0.0.9")
