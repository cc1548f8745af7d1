"""The sweep ends what has expired, and nothing that is in use."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from everturn.checkpoints.shared.locks import LocalThreadLocks
from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.history import History
from everturn.checkpoints.sql.threads import Thread, ThreadTable, new_thread
from everturn.server.projects.graphs import Graphs
from everturn.server.resources.expiry import end_expired
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
async def threads(tmp_path: Path) -> AsyncIterator[Threads]:
    saver, graphs = InMemorySaver(), Graphs({})
    async with open_database(None, tmp_path) as database:
        engine = Engine(
            graphs, LocalThreadLocks(), {}, lambda *_: (), turn_timeout=5, thread_wait=5
        )
        table = ThreadTable(database)
        states = States(
            table,
            engine,
            saver,
            jsonable=lambda value: value,
            edited=lambda thread_id: None,
            configurable=NoRuns().newest_configurable,
        )
        memory, history = ThreadMemory(saver, graphs), History(database)
        yield Threads(table, states, engine, memory, saver, history, cast("Any", NoRuns()))


async def expired(threads: Threads, **how: Any) -> Thread:
    thread = replace(new_thread(ttl={"ttl": 1, "strategy": "delete"}), updated_at=LONG_AGO, **how)
    await threads.create(thread)
    return thread


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
