"""The sweep ends what has expired, and nothing that is in use."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from everturn.checkpoints.settings import StoreSettings
from everturn.checkpoints.shared.locks import LocalThreadLocks
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.group_commit import GroupCommit, open_group_commit
from everturn.checkpoints.sql.history import FinishedTurn, History, turn_finished
from everturn.checkpoints.sql.threads import Thread, ThreadTable, new_session, new_thread
from everturn.server.access.access import Everybody
from everturn.server.errors import ThreadNotFound
from everturn.server.projects.graphs import Graphs
from everturn.server.resources.expiry import end_expired, sweep_once
from everturn.server.resources.states import States
from everturn.server.resources.threads import Threads
from everturn.server.turns.engine import Engine
from everturn.server.turns.memory import ThreadMemory

LONG_AGO = datetime.now(UTC) - timedelta(days=1)


class NoRuns:
    """No run is on any thread."""

    async def newest_configurable(self, thread_id: str) -> dict[str, Any]:
        return {}

    async def cancel_thread(self, thread_id: str) -> None: ...

    async def forget_thread(self, thread_id: str) -> None: ...


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(None, tmp_path) as opened:
        yield opened


@pytest.fixture
async def rows(database: Database) -> AsyncIterator[GroupCommit]:
    async with open_group_commit(database) as opened:
        yield opened


@pytest.fixture
def history(database: Database) -> History:
    return History(database)


@pytest.fixture
async def threads(database: Database, history: History) -> Threads:
    saver, graphs = InMemorySaver(), Graphs({})
    engine = Engine(graphs, LocalThreadLocks(), {}, lambda *_: (), turn_timeout=5, thread_wait=5)
    table, runs = ThreadTable(database), cast("Any", NoRuns())
    states = States(
        table,
        engine,
        cast("Any", saver),
        runs,
        jsonable=lambda value: value,
        edited=lambda thread_id: None,
        configurable=runs.newest_configurable,
        access=Everybody(),
    )
    memory = ThreadMemory(saver, graphs)
    return Threads(table, states, engine, memory, saver, history, runs, Everybody())


async def expired(threads: Threads, **how: Any) -> Thread:
    thread = replace(new_thread(ttl={"ttl": 1, "strategy": "delete"}), updated_at=LONG_AGO, **how)
    await threads.create(thread)
    return thread


async def test_a_session_with_a_history_leaves_its_row(
    threads: Threads, history: History, rows: GroupCommit
) -> None:
    used, unused = (new_session(None, {"user": "ada"}, lifetime=-60) for _ in range(2))
    for session in (used, unused):
        await threads.table.create(session)
    turn = FinishedTurn(
        session_id=used.thread_id, user_message="hi", assistant_message="hello", model_used="m"
    )
    await rows.write(turn_finished(turn))
    assert await end_expired(threads) == 2
    assert await threads.table.get(unused.thread_id) is None
    left = await threads.table.get(used.thread_id)
    assert left == replace(used, kind="ended")  # with its context, and when it was used last
    with pytest.raises(ThreadNotFound):
        await threads.row(used.thread_id)
    assert await history.exists(used.thread_id)
    assert await end_expired(threads) == 0


async def due(threads: Threads) -> list[str]:
    return [thread.thread_id for thread in await threads.table.due(10)]


async def test_what_has_expired_is_gone_and_the_rest_is_not_looked_at(threads: Threads) -> None:
    gone = await expired(threads)
    forever, later = new_thread(), new_thread(ttl={"ttl": 1, "strategy": "delete"})
    for each in (forever, later):
        await threads.create(each)
    assert await end_expired(threads) == 1
    assert await threads.table.get(gone.thread_id) is None
    for each in (forever, later):
        assert await threads.table.get(each.thread_id) == replace(each, expires_at=each.ends_at)
    assert await end_expired(threads) == 0


async def test_one_sweep_ends_no_more_than_its_limit(threads: Threads) -> None:
    for _ in range(3):
        await expired(threads)
    await sweep_once(threads, limit=2)
    assert len(await due(threads)) == 1
    await sweep_once(threads)
    assert await due(threads) == []


async def test_a_thread_used_since_lives_on_from_there(threads: Threads) -> None:
    thread = await expired(threads)
    await threads.table.set_status(thread.thread_id, "idle")  # its due moment stays as it was
    assert await due(threads) == [thread.thread_id]
    assert await end_expired(threads) == 1
    current = await threads.row(thread.thread_id)
    assert current.expires_at == current.ends_at == current.updated_at + timedelta(minutes=1)
    assert await due(threads) == []


async def test_a_thread_where_something_runs_is_looked_at_later(threads: Threads) -> None:
    busy, held = await expired(threads, status="busy"), await expired(threads)
    async with threads.idle(held.thread_id):
        assert await end_expired(threads) == 2
    assert await due(threads) == []
    for thread in (busy, held):
        current = await threads.row(thread.thread_id)
        assert current.expires_at is not None
        assert current.expires_at > datetime.now(UTC)


async def test_threads_without_a_ttl_are_given_one_that_came_later(
    threads: Threads, database: Database
) -> None:
    kept = {"ttl": 60.0, "strategy": "delete"}
    for name, ttl in (("plain", None), ("own", kept)):
        await threads.create(replace(new_thread(name, ttl=ttl), updated_at=LONG_AGO))
    await threads.table.create(new_session("session", {}, lifetime=3600))
    later = StoreSettings(keep_checkpoints=0.5).ttl_of_unused
    table = ThreadTable(database, later)
    await table.adopt_ttl()
    found = {name: await table.get(name) for name in ("plain", "own", "session")}
    assert {name: each and each.ttl for name, each in found.items()} == {
        "plain": {"ttl": 720.0, "strategy": "keep_latest"},
        "own": kept,
        "session": {"ttl": 60.0, "strategy": "delete"},
    }
    assert [each.thread_id for each in await table.due(10)][-1:] == ["plain"]
    assert StoreSettings().ttl_of_unused is None
