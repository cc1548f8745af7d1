"""Sessions that an earlier version kept in Redis are threads after an upgrade."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everturn.checkpoints.shared.old_sessions import move_sessions
from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.threads import Filter, ThreadTable, new_thread
from tests.checkpoints.stores import Store, one_node_cluster, redis_store

BEGUN = datetime(2026, 11, 1, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture(scope="module")
def cluster_port() -> Iterator[int]:
    with one_node_cluster() as port:
        yield port


@pytest.fixture(params=["redis", "cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    port = request.getfixturevalue("cluster_port") if request.param == "cluster" else None
    async with redis_store(port) as opened:
        yield opened


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[ThreadTable]:
    async with open_database(None, tmp_path) as database:
        yield ThreadTable(database)


async def keep(store: Store, session_id: str, ends: datetime, context: str = "{}") -> None:
    """Write a session as earlier versions did."""
    name = f"{{{store.prefix}:sessions}}"
    created = str(round(BEGUN.timestamp() * 1_000_000))
    end = round(ends.timestamp() * 1000)
    await store.client.hset(
        f"{name}:id:{session_id}",
        mapping={"created": created, "ends": str(end), "context": context},
    )
    await store.client.zadd(f"{name}:created", {session_id: float(created)})
    await store.client.zadd(f"{name}:expires", {session_id: end})


async def test_a_session_becomes_a_thread_of_the_same_id(store: Store, table: ThreadTable) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    await keep(store, "s-1", ends, '{"user": "세션"}')
    await keep(store, "s-2", ends)
    assert await move_sessions(store.client, table, prefix=store.prefix, lifetime=90) == 2
    session = await table.get("s-1")
    assert session is not None
    assert (session.kind, session.created_at, session.expires_at) == ("session", BEGUN, ends)
    assert session.metadata == {"context": {"user": "세션"}}
    assert session.lifetime == 90
    assert await table.count(Filter(sessions=True)) == 2
    assert await store.client.keys(f"{{{store.prefix}:sessions}}*") == []
    assert await move_sessions(store.client, table, prefix=store.prefix, lifetime=90) == 0


async def test_what_had_expired_is_no_thread(store: Store, table: ThreadTable) -> None:
    await store.client.zadd(f"{{{store.prefix}:sessions}}:created", {"gone": 1.0})
    assert await move_sessions(store.client, table, prefix=store.prefix, lifetime=90) == 0
    assert await table.get("gone") is None


async def test_a_thread_that_a_run_had_made_of_it_is_a_session_again(
    store: Store, table: ThreadTable
) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    await table.create(new_thread("s", metadata={"graph_id": "agent"}))
    await keep(store, "s", ends, '{"user": "ada"}')
    assert await move_sessions(store.client, table, prefix=store.prefix, lifetime=90) == 1
    session = await table.get("s")
    assert session is not None
    assert (session.kind, session.expires_at, session.lifetime) == ("session", ends, 90)
    assert session.metadata == {"graph_id": "agent", "context": {"user": "ada"}}
