"""Rows of threads, on SQLite and PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Executable, event, insert, select, update

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.group_commit import open_group_commit
from everturn.checkpoints.sql.matches import Equals
from everturn.checkpoints.sql.tables import crons, runs
from everturn.checkpoints.sql.threads import (
    Filter,
    Thread,
    ThreadTable,
    new_session,
    new_thread,
    status_changed,
)
from tests.checkpoints.stores import in_database


@pytest.fixture
def table(database: Database) -> ThreadTable:
    return ThreadTable(database)


async def made(table: ThreadTable, **metadata: Any) -> Thread:
    thread = new_thread(metadata=metadata)
    assert await table.create(thread)
    return thread


async def test_a_thread_comes_back_as_it_was(table: ThreadTable) -> None:
    thread = replace(
        new_thread(
            metadata={"이름": "🎈 'one' %", "deep": [{"a": None}, 2**64 - 1, -(2**63), 1e300, 0.1]}
        ),
        config={"configurable": {"model": "m"}},
        interrupts={"task": [{"id": "i", "value": "name?"}]},
        status="interrupted",
    )
    assert await table.create(thread)
    assert await table.get(thread.thread_id) == thread
    assert await table.get(str(uuid4())) is None


def test_ids_are_uuids_that_sort_by_their_creation() -> None:
    ids = [new_thread().thread_id for _ in range(100)]
    assert ids == sorted(ids)
    assert {UUID(each).version for each in ids} == {7}


async def test_the_second_of_an_id_is_not_made(table: ThreadTable) -> None:
    first = await made(table, which=1)
    again = replace(new_thread(first.thread_id), metadata={"which": 2})
    assert not await table.create(again)
    assert await table.get(first.thread_id) == first


async def test_of_many_who_make_one_id_at_once_one_does(table: ThreadTable) -> None:
    thread = new_thread()
    assert sum(await asyncio.gather(*(table.create(thread) for _ in range(8)))) == 1


async def test_metadata_is_merged_key_by_key(table: ThreadTable) -> None:
    thread = await made(table, a={"x": 1}, b=2)
    changed = await table.patch(thread.thread_id, metadata={"a": {"y": 2}, "c": None})
    assert changed is not None
    assert changed.metadata == {"a": {"y": 2}, "b": 2, "c": None}
    assert changed.updated_at > thread.updated_at
    assert changed.state_updated_at == thread.state_updated_at
    assert await table.get(thread.thread_id) == changed
    assert await table.patch(str(uuid4()), metadata={"a": 1}) is None


async def test_metadata_merged_side_by_side_is_not_lost(table: ThreadTable) -> None:
    thread = await made(table)
    merging = (table.patch(thread.thread_id, metadata={f"key {n}": n}) for n in range(20))
    await asyncio.gather(*merging)
    current = await table.get(thread.thread_id)
    assert current is not None
    assert current.metadata == {f"key {n}": n for n in range(20)}


async def test_what_a_run_came_to(table: ThreadTable) -> None:
    thread = await made(table, mine=1)
    waiting = {"task": [{"id": "i", "value": "name?"}]}
    await table.set_status(thread.thread_id, "interrupted", interrupts=waiting)
    await table.set_status(thread.thread_id, "busy", metadata={"graph_id": "agent"})
    busy = await table.get(thread.thread_id)
    assert busy is not None
    assert (busy.status, busy.interrupts) == ("busy", waiting)
    assert busy.metadata == {"mine": 1, "graph_id": "agent"}
    failure = {"error": "RuntimeError", "message": "nul \0 and half \ud800 of a pair"}
    await table.set_status(thread.thread_id, "error", error=failure)
    failed = await table.get(thread.thread_id)
    assert failed is not None
    assert failed.error == {
        "error": "RuntimeError",
        "message": "nul \ufffd and half \ufffd of a pair",
    }
    assert failed.interrupts == {}
    assert failed.state_updated_at > busy.state_updated_at
    await table.set_status(thread.thread_id, "idle")
    idle = await table.get(thread.thread_id)
    assert idle is not None
    assert (idle.status, idle.error) == ("idle", None)
    assert not await table.set_status(str(uuid4()), "idle")


async def test_a_row_and_its_status_ride_in_ones_own_transaction(
    database: Database, table: ThreadTable
) -> None:
    thread = new_thread()
    given = {"configurable": {"run_id": "r"}}
    about = {"graph_id": "agent"}
    busy = status_changed(thread.thread_id, "busy", metadata=about, config=given)
    created = table.created(thread)
    await database.write(lambda c: [c.execute(*each) for each in (created, created)])
    await database.write(lambda c: c.execute(busy.statement, busy.values))
    current = await table.get(thread.thread_id)
    assert current is not None
    assert (current.status, current.metadata, current.config) == ("busy", about, given)


async def test_a_run_that_has_ended_makes_no_thread_busy(
    database: Database, table: ThreadTable
) -> None:
    """A process that stood still in a transaction writes what was true before."""
    thread = await made(table)
    now = datetime.now(UTC)
    about = {"assistant_id": str(uuid4()), "metadata": {}, "kwargs": {}}
    run = insert(runs).values(
        run_id="r",
        thread_id=thread.thread_id,
        status="success",
        multitask_strategy="enqueue",
        created_at=now,
        updated_at=now,
        **about,
    )
    busy = status_changed(thread.thread_id, "busy", run_id="r")

    async def status_after(before: Executable) -> str | None:
        await database.write(lambda c: [c.execute(before), c.execute(*busy)])
        found = await table.get(thread.thread_id)
        return found.status if found else None

    assert await status_after(run) == "idle"
    assert await status_after(update(runs).values(status="running")) == "busy"


async def test_search_by_what_metadata_contains(table: ThreadTable) -> None:
    one = await made(table, user="ada", tags=["a", "b"], n=1, deep={"x": {"y": True}, "z": 0})
    two = await made(table, user="bob", tags=["b"], n=2)

    async def found(**wanted: Any) -> set[str]:
        rows = await table.search(Filter(metadata=wanted), limit=10)
        assert await table.count(Filter(metadata=wanted)) == len(rows)
        return {row.thread_id for row in rows}

    assert await found() == {one.thread_id, two.thread_id}
    assert await found(user="ada") == {one.thread_id}
    assert await found(tags=["b"]) == {one.thread_id, two.thread_id}
    assert await found(tags=["b", "a"]) == {one.thread_id}
    assert await found(deep={"x": {"y": True}}) == {one.thread_id}
    assert await found(n=1.0) == {one.thread_id}
    for nothing in ({"deep": {"x": {"y": 1}}}, {"missing": None}, {"user": "ada", "n": 2}):
        assert await found(**nothing) == set()
    assert await found(**{"user' OR 1=1 --": 1}) == set()


async def test_search_by_id_and_status_in_order_and_pages(table: ThreadTable) -> None:
    rows = [await made(table, n=n) for n in range(5)]
    ids = [row.thread_id for row in rows]
    await table.set_status(ids[1], "busy")

    async def page(wanted: Filter = Filter(), **how: Any) -> list[str]:  # noqa: B008
        return [row.thread_id for row in await table.search(wanted, **{"limit": 10, **how})]

    assert await page() == [ids[1], ids[4], ids[3], ids[2], ids[0]]
    assert await page(sort_by="created_at", sort_order="asc") == ids
    assert await page(sort_by="thread_id", sort_order="desc") == ids[::-1]
    assert (await page(sort_by="status", sort_order="asc"))[0] == ids[1]
    assert await page(limit=2, offset=2, sort_by="created_at") == [ids[2], ids[1]]
    assert await page(offset=7) == []
    assert await page(Filter(status="busy")) == [ids[1]]
    assert await page(Filter(ids=[ids[0], str(uuid4())])) == [ids[0]]
    assert await page(Filter(ids=[])) == []
    assert await table.count(Filter(ids=ids[:3], status="idle")) == 2


async def test_pages_do_not_overlap_where_rows_tie(table: ThreadTable) -> None:
    for _ in range(9):
        await made(table)
    pages = [
        await table.search(Filter(), limit=2, offset=n, sort_by="status") for n in range(0, 9, 2)
    ]
    assert len({row.thread_id for page in pages for row in page}) == 9


@pytest.mark.parametrize("how", ["delete", "end"])
async def test_a_thread_that_is_gone_takes_its_runs_and_crons_along(
    how: str, database: Database, table: ThreadTable
) -> None:
    gone, stays = await made(table), await made(table)
    now = datetime.now(UTC)
    moments = {"created_at": now, "updated_at": now}
    rows = []
    for n, thread in enumerate((gone, stays)):
        ids = {"thread_id": thread.thread_id, "assistant_id": "a", "metadata": {}}
        run = {"run_id": f"r{n}", "status": "success", "kwargs": {}, **ids, **moments}
        rows.append(insert(runs).values(multitask_strategy="enqueue", **run))
        cron = {"cron_id": f"c{n}", "schedule": "* * * * *", "payload": {}, **ids, **moments}
        rows.append(insert(crons).values(enabled=True, **cron))
    await database.write(lambda c: [c.execute(row) for row in rows])
    assert await getattr(table, how)(gone.thread_id)
    assert not await getattr(table, how)("nobody")
    for column, left in ((runs.c.run_id, "r1"), (crons.c.cron_id, "c1")):
        assert (await in_database(database, select(column))).scalars().all() == [left]


async def test_writers_of_many_kinds_do_not_lock_each_other_out(
    database: Database, table: ThreadTable
) -> None:
    async with open_group_commit(database) as rows:
        made = [new_thread() for _ in range(100)]
        busy = [status_changed(each.thread_id, "busy") for each in made]
        await asyncio.gather(*(table.create(each) for each in made), *map(rows.post, busy))
        await asyncio.gather(*map(rows.post, busy), *(table.get(each.thread_id) for each in made))
    assert await table.count(Filter(status="busy")) == 100


async def test_a_ttl_counts_from_the_last_change(table: ThreadTable) -> None:
    short = new_thread(ttl={"ttl": 0.0001, "strategy": "delete"})
    long = new_thread(ttl={"ttl": 60, "strategy": "delete"})
    for each in (short, long, new_thread()):
        await table.create(each)
    assert long.ends_at == long.created_at + timedelta(minutes=60)
    await asyncio.sleep(0.01)
    assert [row.thread_id for row in await table.due(10)] == [short.thread_id]
    later = await table.patch(short.thread_id, ttl={"ttl": 30, "strategy": "keep_latest"})
    assert later is not None
    assert later.ends_at == later.updated_at + timedelta(minutes=30)
    assert await table.due(10) == []
    await table.look_again(long.thread_id, datetime.now(UTC) - timedelta(seconds=1))
    assert [row.thread_id for row in await table.due(10)] == [long.thread_id]
    await table.look_again(long.thread_id, None)
    assert await table.due(10) == []


async def test_a_database_that_is_gone_says_so(tmp_path: Path) -> None:
    async with open_database(None, tmp_path) as opened:
        table = ThreadTable(opened)
        await opened.write(lambda c: c.exec_driver_sql("DROP TABLE threads"))
        with pytest.raises(StoreUnavailable, match="threads"):
            await table.get(str(uuid4()))


async def test_a_session_that_ended_is_found_by_the_list_of_sessions_alone(
    table: ThreadTable,
) -> None:
    thread = new_thread()
    living = new_session(None, {}, lifetime=60)
    expired, ended = (new_session(None, {"user": name}, lifetime=-60) for name in ("ada", "bob"))
    for each in (thread, living, expired, ended):
        assert await table.create(each)
    await table.end(ended.thread_id)
    row = await table.get(ended.thread_id)
    assert row == replace(ended, kind="ended")
    assert row is not None
    assert row.has_expired

    async def found(wanted: Filter) -> set[str]:
        rows = {each.thread_id for each in await table.search(wanted, limit=10)}
        assert await table.count(wanted) == len(rows)
        return rows

    assert await found(Filter()) == {thread.thread_id, living.thread_id}
    assert await found(Filter(sessions=True)) == {living.thread_id}
    gone = {expired.thread_id, ended.thread_id}
    assert await found(Filter(sessions=True, ended=True)) == gone
    assert await found(Filter(sessions=True, ended=None)) == {living.thread_id, *gone}
    assert [each.thread_id for each in await table.due(10)] == [expired.thread_id]


@pytest.mark.parametrize(
    "wanted", [Filter(), Filter(sessions=True, ended=None), Filter(sessions=True, ended=False)]
)
async def test_a_page_is_read_along_its_index(tmp_path: Path, wanted: Filter) -> None:
    """As soon as there are many threads, all else reads each of them, and sorts them."""
    async with open_database(None, tmp_path) as database:
        statements: list[tuple[str, Any]] = []
        event.listen(
            database.sync_engine,
            "before_cursor_execute",
            lambda *about: statements.append((about[2], about[3])),
        )
        await ThreadTable(database).search(wanted, limit=10)
        statement, values = statements[-1]
        explained = await database.read(
            lambda c: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
        )
    assert [row[-1] for row in explained] == ["SCAN threads USING INDEX ix_threads_listed"]


@pytest.mark.parametrize("owner", ["plain", "a@b.c", 'quo"ted', "naïve", "back\\slash", "a/b", 7])
async def test_metadata_is_found_whatever_is_in_it(tmp_path: Path, owner: Any) -> None:
    async with open_database(None, tmp_path) as database:
        table = ThreadTable(database)
        await table.create(
            new_thread("mine", metadata={"in": {"it": [owner, "x"]}, "owner": owner})
        )
        await table.create(new_thread("other", metadata={"owner": "other", owner: 1}))
        for wanted in (
            Filter(metadata={"owner": owner}),
            Filter(metadata={"in": {"it": [owner]}}),
            Filter(allowed=Equals("owner", owner)),
        ):
            assert [each.thread_id for each in await table.search(wanted, limit=9)] == ["mine"]
