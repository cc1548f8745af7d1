import asyncio
import shutil
import socket
import struct
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Text,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import create_async_engine

from everturn.checkpoints.errors import (
    DataDirError,
    StoreMisconfigured,
    StoreUnavailable,
    ValueRefused,
)
from everturn.checkpoints.sql import migrations
from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.tables import SCHEMA, WORDS, chat_history, metadata
from tests.checkpoints.stores import POSTGRES, ROOT, in_database, new_postgres_database

SECRET = "s3cr3t-pa55"
A_TURN = insert(chat_history).values(
    session_id="s",
    user_message="u",
    assistant_message="a",
    tools_used=[],
    model_used="m",
    tokens_used=1,
    created_at=datetime.now(UTC),
    metadata={},
)


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/history.db"
    else:
        async with new_postgres_database() as database:
            yield database.render_as_string(hide_password=False)


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "checkpoints" / "sql" / "migrations"))
    return config


def within_our_schema(connection: Connection) -> None:
    """Let names without a schema be found there, as Alembic's comparison writes them."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL search_path TO {SCHEMA}"))


def schema(connection: Connection) -> dict[str, object]:
    """All that the database knows of its tables, in words of its own."""
    within_our_schema(connection)
    found = inspect(connection)
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master"))
        return {name: " ".join((sql or "").split()) for name, sql in rows}
    return {
        table: (
            repr(found.get_columns(table, SCHEMA)),
            found.get_indexes(table, SCHEMA),
            found.get_pk_constraint(table, SCHEMA),
        )
        for table in found.get_table_names(SCHEMA)
    }


def differences(connection: Connection) -> object:
    """What Alembic would change to make the tables as the code wants them."""
    within_our_schema(connection)
    options: dict[str, Any] = {
        "version_table": migrations.VERSION.name,
        # SQLAlchemy has no words for the index of words.
        "include_name": lambda name, kind, _: not str(name).startswith((WORDS, f"ix_{WORDS}")),
    }
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


async def test_a_new_schema_is_the_migrated_one(url: str, tmp_path: Path) -> None:
    def migrate(connection: Connection) -> dict[str, object]:
        config = alembic_config()
        config.attributes["connection"] = connection
        within_our_schema(connection)
        command.upgrade(config, "head")
        migrated = schema(connection)
        assert differences(connection) == []
        command.downgrade(config, "base")
        assert "chat_history" not in schema(connection)
        return migrated

    async with open_database(url, tmp_path) as database:
        made = await database.read(schema)
        assert await database.read(differences) == []
        await database.write(lambda c: metadata.drop_all(c, checkfirst=False))
        await database.write(migrations.VERSION.drop)
        migrated = await database.write(migrate, seconds=60)
    assert {"chat_history", "everturn_version"} <= made.keys()
    # The order of a table's clauses is the only thing that may differ.
    assert {name: sorted(str(what)) for name, what in made.items()} == {
        name: sorted(str(what)) for name, what in migrated.items()
    }


def test_the_known_head_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == migrations.HEAD


async def test_an_older_database_is_migrated_and_keeps_its_rows(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "with 100% more" / "migrations"
    shutil.copytree(ROOT / "checkpoints" / "sql" / "migrations", scripts)
    (scripts / "versions" / "r0002_next.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision, down_revision = 'next', {migrations.HEAD!r}\n"
        "def upgrade():\n"
        "    with op.batch_alter_table('chat_history') as table:\n"
        "        table.add_column(sa.Column('mood', sa.Text(), server_default='fine'))\n"
    )
    async with open_database(url, tmp_path) as database:
        await database.write(lambda c: c.execute(A_TURN))
    monkeypatch.setattr(migrations, "HEAD", "next")
    monkeypatch.setattr(migrations, "SCRIPTS", scripts)

    async def start() -> object:
        async with open_database(url, tmp_path) as database:
            moods = select(Column("mood", Text)).select_from(chat_history)
            return await database.read(lambda c: c.execute(moods).all())

    assert await asyncio.gather(*(start() for _ in range(4))) == [[("fine",)]] * 4


async def test_a_newer_database_is_refused(url: str, tmp_path: Path) -> None:
    async with open_database(url, tmp_path) as database:
        newer = update(migrations.VERSION).values(version_num="f00")
        await database.write(lambda c: c.execute(newer))
    for migrate in (True, False):
        with pytest.raises(StoreMisconfigured, match="revision f00, which this Everturn does not"):
            async with open_database(url, tmp_path, migrate=migrate):
                pass


async def test_tables_of_others_are_left_alone(url: str, tmp_path: Path) -> None:
    async with open_database(url, tmp_path) as database:
        await database.write(migrations.VERSION.drop)
    with pytest.raises(StoreMisconfigured, match=r"tables named .*chat_history.* that"):
        async with open_database(url, tmp_path):
            pass


START = """
import asyncio, sys
from pathlib import Path
from everturn.checkpoints.sql.database import open_database

async def main(url):
    async with open_database(url, Path()):
        print("alembic" in sys.modules)

asyncio.run(main(sys.argv[1]))
"""


async def test_processes_that_start_at_once_make_one_schema_without_alembic(url: str) -> None:
    async def start() -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", START, url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return process.returncode, out.strip()

    assert await asyncio.gather(*(start() for _ in range(4))) == [(0, b"False")] * 4
    assert await start() == (0, b"False")


async def test_sqlite_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "folder"
    async with open_database(None, data_dir) as database:
        for pragma, value in [
            ("journal_mode", "wal"),
            ("synchronous", 1),
            ("busy_timeout", 1500),
            ("foreign_keys", 1),
        ]:
            asked = text(f"PRAGMA {pragma}")
            assert (await in_database(database, asked)).scalar() == value
    assert (data_dir / "everturn.db").stat().st_size > 0
    assert (data_dir / "everturn.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("path", "content", "advice"),
    [
        ("missing/history.db", None, "cannot be written .*: check folder and rights"),
        ("", None, "cannot be written"),
        ("history.db", b"no database " * 100, "is no SQLite database"),
    ],
)
async def test_an_unusable_file(
    path: str, content: bytes | None, advice: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / path).write_bytes(content)
    with pytest.raises(StoreMisconfigured, match=advice):
        async with open_database(f"sqlite:///{tmp_path / path}", tmp_path):
            pass


async def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirError, match="cannot make the data folder"):
        async with open_database(None, tmp_path / "file" / "folder"):
            pass


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        (SECRET, "is not a URL: write postgresql"),
        (f"postgres://me:{SECRET}@host:port/db", "is not a URL: write postgresql"),
        (f"mysql://me:{SECRET}@host/db", "names mysql: use postgresql"),
        (f"postgres://me:p@{SECRET}/w@127.0.0.1:1/db", "has an @ that is not escaped"),
        (f"postgres://me:p@ss/{SECRET}@127.0.0.1:1/db", "has an @ that is not escaped"),
        (f"postgres://me:p@{SECRET}@127.0.0.1:1/db", "has an @ that is not escaped"),
        (f"postgres://me:p@{SECRET}?w@127.0.0.1:1/db", "has an @ that is not escaped"),
        ("sqlite://", "names sqlite: use postgresql"),
        (f"postgres://me:{SECRET}@127.0.0.1/db?sslmode=odd", "an option of DATABASE_URL is wrong"),
        (f"postgres://me:{SECRET}@127.0.0.1/db?colour=red", "an option of DATABASE_URL is wrong"),
    ],
)
async def test_a_wrong_url_is_refused_without_showing_the_password(
    url: str, advice: str, tmp_path: Path
) -> None:
    with pytest.raises(StoreMisconfigured, match=advice) as refused:
        async with open_database(url, tmp_path):
            pass
    assert SECRET not in "".join(traceback.format_exception(refused.value))


async def test_a_database_that_does_not_exist(tmp_path: Path) -> None:
    url = POSTGRES.set(database="everturn_test_nowhere").render_as_string(hide_password=False)
    with pytest.raises(StoreMisconfigured, match="does not exist, create it"):
        async with open_database(url, tmp_path):
            pass


@pytest.mark.parametrize(
    ("state", "error", "advice"),
    [
        ("28P01", StoreMisconfigured, "the user or the password is refused, check DATABASE_URL"),
        ("42501", StoreMisconfigured, "its user lacks a right"),
        ("57P03", StoreUnavailable, "does not answer"),
        ("53300", StoreUnavailable, "does not answer"),
    ],
)
async def test_what_a_server_answers_is_told_as_what_to_do(
    state: str, error: type[Exception], advice: str, tmp_path: Path
) -> None:
    async with refusing_postgres(state) as port:
        with pytest.raises(error, match=advice) as refused:
            async with open_database(f"postgres://me:{SECRET}@127.0.0.1:{port}/db", tmp_path):
                pass
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@asynccontextmanager
async def refusing_postgres(state: str) -> AsyncIterator[int]:
    """A server that answers every startup message with one ErrorResponse of the protocol, v3."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        if length == 8:  # first it is asked for TLS
            await reader.readexactly(4)
            writer.write(b"N")
            (length,) = struct.unpack("!i", await reader.readexactly(4))
        await reader.readexactly(length - 4)
        fields = f"SFATAL\0VFATAL\0C{state}\0Mrefused\0\0".encode()
        writer.write(b"E" + struct.pack("!i", 4 + len(fields)) + fields)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_server_that_is_down(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(StoreUnavailable, match=f"database db at 127.0.0.1:{port} does not"):
            async with open_database(f"postgres://me:{SECRET}@127.0.0.1:{port}/db", tmp_path):
                pass


async def test_a_missing_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(StoreMisconfigured, match=r"pip install 'everturn\[postgres\]'"):
        async with open_database("postgresql+asyncpg://me@127.0.0.1/db", tmp_path):
            pass


async def test_an_address_as_hosting_services_write_it(tmp_path: Path) -> None:
    async with new_postgres_database() as plain:
        url = plain.set(drivername="postgres").update_query_dict(
            {"sslmode": "prefer", "channel_binding": "prefer"}
        )
        async with open_database(url.render_as_string(hide_password=False), tmp_path) as database:
            turns = select(func.count()).select_from(chat_history)
            assert await database.read(lambda c: c.scalar(turns)) == 0
            # Closed by the server meanwhile: the next one to come does not notice.
            other = create_async_engine(plain)
            async with other.connect() as connection:
                await connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid != pg_backend_pid()"
                    )
                )
            await other.dispose()
            assert await database.read(lambda c: c.scalar(text("SELECT 1"))) == 1


@pytest.mark.parametrize(
    "wanted",
    [
        chat_history.c.user_message == literal("nul \0", Text),
        chat_history.c.user_message == literal("half \ud800", Text),
        chat_history.c.created_at == datetime(2026, 1, 1),  # noqa: DTZ001 - a naive one is the flaw
        chat_history.c.id == 2**70,
    ],
    ids=["nul", "half a character", "naive", "too large"],
)
async def test_a_value_that_is_refused_makes_no_database_unavailable(
    url: str, tmp_path: Path, wanted: ColumnElement[bool]
) -> None:
    async with open_database(url, tmp_path) as database:
        query = select(func.count()).where(wanted)
        found: Any
        (found,) = await asyncio.gather(in_database(database, query), return_exceptions=True)
        if isinstance(found, BaseException):
            assert isinstance(found, ValueRefused)
            assert "cannot take a value" in str(found)
            assert "half" not in str(found)
        else:  # SQLite looks for a NUL, too
            assert found.scalar_one() == 0
        assert await database.read(lambda c: c.scalar(select(1))) == 1


async def test_a_start_waits_longer_than_a_client(tmp_path: Path) -> None:
    async with open_database(None, tmp_path) as database:
        for access in (database.read, database.write):
            with pytest.raises(StoreUnavailable):
                await access(lambda _: sleep(2.5))
        database.clients_wait = False
        for access in (database.read, database.write):
            await access(lambda _: sleep(2.5))
