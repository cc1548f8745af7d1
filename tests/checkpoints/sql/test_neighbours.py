"""One database with an application: its tables and its Alembic beside ours, old and new."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, create_engine, func, inspect, make_url, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from everturn.checkpoints.errors import StoreMisconfigured
from everturn.checkpoints.sql import migrations
from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.migrations.others import count_tables_of_others
from everturn.checkpoints.sql.tables import SCHEMA, chat_history, metadata
from tests.checkpoints.sql.test_database import A_TURN
from tests.checkpoints.stores import new_postgres_database

T = TypeVar("T")

VERSION = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
TURNS = select(func.count()).select_from(chat_history)


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/application.db"
    else:
        async with new_postgres_database() as database:
            yield database.render_as_string(hide_password=False)


async def in_application(url: str, work: Callable[[Connection], T]) -> T:
    """Work in the database as an application does, which knows nothing of us."""
    if make_url(url).get_backend_name() == "sqlite":
        engine = create_engine(url)
        with engine.begin() as connection:
            result = work(connection)
        engine.dispose()
        return result
    distant = create_async_engine(url)
    async with distant.begin() as connecting:
        result = await connecting.run_sync(work)
    await distant.dispose()
    return result


def an_application(connection: Connection) -> None:
    """Tables and a version of Alembic, whose numbers look like ours."""
    connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
    connection.execute(text(VERSION))
    connection.execute(text("INSERT INTO alembic_version VALUES ('0003')"))


def an_earlier_everturn(connection: Connection) -> None:
    """Our tables among the application's, as they were before they had a place of their own."""
    metadata.create_all(connection)
    connection.execute(A_TURN)
    connection.execute(text(VERSION))
    connection.execute(text(f"INSERT INTO alembic_version VALUES ('{migrations.HEAD}')"))


def its_tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def test_an_application_keeps_its_tables_and_its_version(url: str, tmp_path: Path) -> None:
    await in_application(url, an_application)
    for _ in range(2):
        async with open_database(url, tmp_path) as database:
            await database.write(lambda c: c.execute(A_TURN))
            assert await database.read(count_tables_of_others) == 2
            assert await database.read(lambda c: c.scalar(select(migrations.VERSION))) == (
                migrations.HEAD
            )
    stored = text("SELECT version_num FROM alembic_version")
    assert await in_application(url, lambda c: c.scalars(stored).all()) == ["0003"]
    tables = await in_application(url, its_tables)
    if url.startswith("postgresql"):
        assert tables == {"orders", "alembic_version"}
    assert {"orders", "alembic_version"} <= tables


async def test_tables_of_an_earlier_everturn_are_moved_once_with_their_rows(
    url: str, tmp_path: Path
) -> None:
    await in_application(url, lambda c: c.execute(text("CREATE TABLE orders (id INTEGER)")))
    await in_application(url, an_earlier_everturn)

    async def start() -> object:
        async with open_database(url, tmp_path) as database:
            return await database.read(lambda c: (c.scalar(TURNS), count_tables_of_others(c)))

    assert await asyncio.gather(*(start() for _ in range(4))) == [(1, 1)] * 4
    async with open_database(url, tmp_path) as database:
        await database.write(lambda c: c.execute(A_TURN))  # its sequence has come with it
        assert await database.read(lambda c: c.scalar(TURNS)) == 2
    tables = await in_application(url, its_tables)
    assert "alembic_version" not in tables
    if url.startswith("postgresql"):
        assert tables == {"orders"}


async def test_tables_of_the_first_revision_are_moved_and_then_migrated(
    url: str, tmp_path: Path
) -> None:
    def first(connection: Connection) -> None:
        chat_history.create(connection)
        connection.execute(text("DROP INDEX ix_chat_history_created_at"))  # of a later revision
        connection.execute(A_TURN)
        # The name of a later table of ours; at this revision it is the application's.
        connection.execute(text("CREATE TABLE threads (number INTEGER)"))
        connection.execute(text(VERSION))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))

    await in_application(url, first)
    if url.startswith("sqlite"):  # which has no schemas: the names meet
        with pytest.raises(Exception, match="table threads already exists"):
            async with open_database(url, tmp_path):
                pass
        return
    async with open_database(url, tmp_path) as database:
        assert await database.read(lambda c: c.scalar(TURNS)) == 1
        everything = await database.read(lambda c: set(inspect(c).get_table_names(SCHEMA)))
        assert everything == {*metadata.tables, migrations.VERSION.name}
    assert await in_application(url, its_tables) == {"threads"}


async def test_a_history_of_the_applications_own_is_not_ours(url: str, tmp_path: Path) -> None:
    def theirs(connection: Connection) -> None:
        an_application(connection)
        connection.execute(text("CREATE TABLE chat_history (id INTEGER, line TEXT)"))

    await in_application(url, theirs)
    if url.startswith("sqlite"):
        with pytest.raises(StoreMisconfigured, match="give it a database of its own"):
            async with open_database(url, tmp_path):
                pass
    else:
        async with open_database(url, tmp_path) as database:
            assert await database.read(lambda c: c.scalar(TURNS)) == 0
    columns = await in_application(url, lambda c: inspect(c).get_columns("chat_history"))
    assert [column["name"] for column in columns] == ["id", "line"]


async def test_a_user_whose_schema_has_our_name(tmp_path: Path) -> None:
    """`"$user"` comes first in PostgreSQL's search path, and the user is often called everturn."""
    async with new_postgres_database() as database:
        url = database.render_as_string(hide_password=False)

        def earlier(connection: Connection) -> None:
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
            connection.execute(text(f"SET LOCAL search_path TO {SCHEMA}"))
            an_earlier_everturn(connection)
            name = database.database
            connection.execute(text(f"ALTER DATABASE {name} SET search_path TO {SCHEMA}, public"))

        await in_application(url, earlier)
        async with open_database(url, tmp_path) as opened:
            assert await opened.read(lambda c: c.scalar(TURNS)) == 1
            assert await opened.read(count_tables_of_others) == 0
