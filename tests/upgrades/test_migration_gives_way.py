"""A migration of PostgreSQL beside processes that read, and one that reads for long."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from everturn.checkpoints.sql import migrations
from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.tables import SCHEMA
from tests.checkpoints.stores import new_postgres_database
from tests.waiting import PATIENCE, eventually


async def test_a_migration_that_waits_for_a_table_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(connection: Connection) -> None:
        connection.exec_driver_sql(f"ALTER TABLE {SCHEMA}.threads ADD COLUMN mood TEXT")

    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'")
    looked = text(f"SELECT count(*) FROM {SCHEMA}.threads")
    async with new_postgres_database() as url:
        where = url.render_as_string(hide_password=False)
        async with open_database(where, tmp_path) as database:
            monkeypatch.setattr(migrations, "_bring", later)
            let_go, held = asyncio.Event(), asyncio.Event()

            async def hold() -> None:  # as a backup does, which reads for minutes
                engine = create_async_engine(url)
                async with engine.connect() as connection:
                    await connection.execute(looked)
                    held.set()
                    await let_go.wait()
                await engine.dispose()

            holding = asyncio.create_task(hold())
            await held.wait()
            migrating = asyncio.create_task(
                database.write(migrations.bring_to_head, seconds=PATIENCE)
            )
            await eventually(lambda: database.read(lambda c: c.scalar(waiting), seconds=PATIENCE))
            for _ in range(3):
                await database.read(lambda c: c.scalar(looked), seconds=PATIENCE)
            assert not migrating.done()
            let_go.set()
            await asyncio.gather(holding, migrating)
            columns = await database.read(lambda c: inspect(c).get_columns("threads", SCHEMA))
    assert "mood" in {column["name"] for column in columns}
