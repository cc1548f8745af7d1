"""What searched tables have in common, shown on crons; assistants have tests of their own."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from everturn.checkpoints.sql.crons import Cron, CronTable, Filter
from everturn.checkpoints.sql.database import open_database
from tests.checkpoints.stores import postgres_database

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


def cron(cron_id: str) -> Cron:
    return Cron(
        cron_id=cron_id,
        assistant_id="a",
        schedule="* * * * *",
        created_at=MOMENT,
        updated_at=MOMENT,
    )


@pytest.fixture(params=["sqlite", "postgres"])
async def table(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CronTable]:
    if request.param == "sqlite":
        async with open_database(None, tmp_path) as database:
            yield CronTable(database)
        return
    async with (
        postgres_database() as url,
        open_database(url.render_as_string(hide_password=False), tmp_path) as database,
    ):
        yield CronTable(database)


async def test_get_returns_the_row_of_an_id(table: CronTable) -> None:
    await table.create(cron("one"))
    assert await table.get("one") == cron("one")
    assert await table.get("another") is None


async def test_pages_do_not_overlap_where_rows_tie(table: CronTable) -> None:
    for number in (3, 1, 4, 0, 2):
        await table.create(cron(str(number)))
    await table.create(replace(cron("5"), created_at=LATER))
    pages = [await table.search(Filter(), limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [[each.cron_id for each in page] for page in pages] == [
        ["5", "4"],
        ["3", "2"],
        ["1", "0"],
        [],
    ]
    first = await table.search(Filter(), limit=2, sort_by="cron_id", sort_order="asc")
    assert [each.cron_id for each in first] == ["0", "1"]


async def test_a_filter_leaves_out_what_it_does_not_name(table: CronTable) -> None:
    await table.create(replace(cron("one"), enabled=False, metadata={"team": "x", "more": 1}))
    await table.create(replace(cron("two"), thread_id="t", metadata={"team": "x"}))
    for wanted, ids in (
        (Filter(), {"one", "two"}),
        (Filter(enabled=False), {"one"}),
        (Filter(thread_id="t"), {"two"}),
        (Filter(metadata={"team": "x"}), {"one", "two"}),
        (Filter(metadata={"more": 1}, enabled=True), set[str]()),
        (Filter(assistant_id="b"), set[str]()),
    ):
        assert {each.cron_id for each in await table.search(wanted, limit=9)} == ids
        assert await table.count(wanted) == len(ids)
