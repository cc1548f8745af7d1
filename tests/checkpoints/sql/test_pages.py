"""Pages of large rows, on SQLite and PostgreSQL: refused before they fill the memory."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from everturn.checkpoints.bounds import MAX_LIST_BYTES
from everturn.checkpoints.errors import ListTooLarge
from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.history import FinishedTurn, History, turn_finished
from everturn.checkpoints.sql.store import open_store
from everturn.checkpoints.sql.threads import Filter, ThreadTable, new_thread

LARGE = "x" * 2_000_000
MANY = 80
"""So many of them have nearly five times what a list may hold."""


@contextmanager
def bounded_memory() -> Iterator[None]:
    """See that what the block holds at its height is bounded."""
    tracemalloc.start()
    try:
        yield
        _, height = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert height < 4 * MAX_LIST_BYTES  # raw, and as objects


async def test_a_page_of_large_threads_is_refused(database: Database) -> None:
    table = ThreadTable(database)
    for number in range(MANY):
        await table.create(new_thread(f"{number:02}", metadata={"large": LARGE}))
    with bounded_memory(), pytest.raises(ListTooLarge, match="ask for fewer with `limit`"):
        await table.search(Filter(), limit=MANY)
    assert len(await table.search(Filter(), limit=10)) == 10
    without = await table.search(
        Filter(), limit=MANY, sort_by="thread_id", sort_order="asc", without={"metadata"}
    )
    assert [each.thread_id for each in without] == [f"{number:02}" for number in range(MANY)]
    assert await table.ids(Filter(), limit=2, offset=1) == ["01", "02"]


async def test_a_page_keeps_its_order(database: Database) -> None:
    table = ThreadTable(database)
    for number in range(40):
        await table.create(new_thread(f"{number * 7 % 40:02}", metadata={"n": number}))
    page = await table.search(Filter(), limit=30, offset=5, sort_by="thread_id", sort_order="asc")
    assert [each.thread_id for each in page] == [f"{number:02}" for number in range(5, 35)]
    assert {each.metadata["n"] * 7 % 40 for each in page} == set(range(5, 35))
    assert await table.search(Filter(), limit=30, offset=50) == []


async def test_a_page_of_large_turns_is_refused(database: Database) -> None:
    history = History(database)
    turn = FinishedTurn(session_id="s", user_message="hi", assistant_message=LARGE, model_used="m")
    row = turn_finished(turn)
    for _ in range(MANY):
        await database.write(lambda c: c.execute(row.statement, row.values).scalar())
    with bounded_memory(), pytest.raises(ListTooLarge):
        await history.page("s", limit=MANY)
    turns, more = await history.page("s", limit=3)
    assert (len(turns), more) == (3, True)
    oldest = await history.after("s", 0, limit=3)
    assert [each.id for each in oldest] == [1, 2, 3]


@pytest.mark.parametrize("condition", [None, {"kind": {"$eq": "large"}}])
async def test_a_search_for_large_items_is_refused(
    database: Database, condition: dict[str, dict[str, str]] | None
) -> None:
    async with open_store(database) as store:
        for number in range(MANY):
            await store.aput(("n",), str(number), {"kind": "large", "text": LARGE})
        with bounded_memory(), pytest.raises(ListTooLarge):
            await store.asearch(("n",), filter=condition, limit=MANY)
        assert len(await store.asearch(("n",), filter=condition, limit=10)) == 10
