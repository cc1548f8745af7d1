"""What reads too long is interrupted: it holds up neither other reads nor the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, literal, select, text

from everturn.checkpoints.errors import SearchTimeout, StoreUnavailable
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.json_objects import contained, contains
from everturn.checkpoints.sql.tables import threads
from tests.checkpoints.stores import in_database, postgres_database
from tests.waiting import PATIENCE, eventually

FOR_EVER = text(
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x % 1000 + 1 FROM n) SELECT count(*) FROM n"
)


def _for_ever(connection: Connection) -> None:
    connection.execute(FOR_EVER)


async def _runs_nothing(database: Database) -> bool:
    running = text(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'WITH RECURSIVE n(x)%'"
        " AND state = 'active' AND datname = current_database()"
    )
    return await database.read(lambda c: not c.scalar(running))


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Database]:
    if kind == "sqlite":
        async with open_database(None, folder) as database:
            yield database
        return
    async with postgres_database() as url:
        text_of_url = url.render_as_string(hide_password=False)
        async with open_database(text_of_url, folder) as database:
            yield database


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_search_ends_at_its_deadline_and_leaves_nothing_running(
    kind: str, tmp_path: Path
) -> None:
    async with asyncio.timeout(PATIENCE), opened(kind, tmp_path) as database:
        for _ in range(10):  # more than there are threads to search in
            with pytest.raises(SearchTimeout, match=r"ended after 0\.05 s: narrow it"):
                await database.search(_for_ever, seconds=0.05)
        with pytest.raises(StoreUnavailable):
            await database.write(_for_ever, seconds=0.05)
        assert await database.search(lambda c: c.scalar(select(literal(1)))) == 1
        if kind == "postgres":
            await eventually(lambda: _runs_nothing(database))


async def test_searches_hold_up_no_row_that_is_read_by_its_id(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), open_database(None, tmp_path) as database:
        searches = [
            asyncio.create_task(database.search(_for_ever, seconds=PATIENCE)) for _ in range(20)
        ]
        for _ in range(20):
            await database.read(lambda c: c.execute(select(threads)).all())
            assert not any(each.done() for each in searches)
    # The end of the block closed the database: that ended them all.
    results = await asyncio.gather(*searches, return_exceptions=True)
    assert all(isinstance(each, SearchTimeout | asyncio.CancelledError) for each in results)


async def test_what_python_compares_for_sqlite_is_interrupted_too(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), open_database(None, tmp_path) as database:
        endless = text(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x % 1000 + 1 FROM n)"
            " SELECT count(*) FROM n WHERE json_contains('[' || x || ']', '[0]')"
        )
        with pytest.raises(SearchTimeout):
            await database.search(lambda c: c.execute(endless), seconds=0.05)


def test_long_lists_are_compared_in_one_go() -> None:
    class Counted(str):
        __slots__ = ()
        compared = 0

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return str(self) == other

        __hash__ = str.__hash__

    many = 5000
    there = [Counted(f"t{number}") for number in range(many)]
    wanted = [Counted(f"t{number}") for number in reversed(range(many))]
    assert contained({"l": wanted}, {"l": there})
    assert Counted.compared < 10 * many  # and not its square
    assert not contained({"l": [1]}, {"l": [True, "1", [1]]})
    assert contained({"l": [1, None]}, {"l": [None, 1.0]})


async def test_a_long_list_is_found_in_many_rows(tmp_path: Path) -> None:
    wanted = {"l": [f"t{number}" for number in range(200)]}
    async with open_database(None, tmp_path) as database:
        column = literal({"l": [f"t{number}" for number in range(10_000)]}, threads.c.metadata.type)
        assert (await in_database(database, select(contains(column, wanted)))).scalar()
