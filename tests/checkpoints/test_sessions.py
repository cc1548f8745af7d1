import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.sessions import Sessions
from tests.checkpoints.stores import Store, one_node_cluster, redis_store
from tests.waiting import eventually


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
def sessions(store: Store) -> Sessions:
    return Sessions(store.client, 100, store.prefix)


async def test_a_session_is_kept_with_its_context(sessions: Sessions) -> None:
    context = {"user": "세션 🎈", "nested": [1.5, None, {"big": 10**30}], "nul": "\0"}
    before = datetime.now(UTC)
    session = await sessions.create(context)
    assert UUID(session.id).version == 4
    assert session.context == context
    assert session.created_at.tzinfo is session.expires_at.tzinfo is UTC
    assert abs(session.created_at - before) < timedelta(minutes=1)
    lifetime = session.expires_at - session.created_at
    assert timedelta(seconds=99.9) < lifetime <= timedelta(seconds=100)
    assert await sessions.get(session.id) == session
    assert await sessions.list(10) == ([session], 1)


@pytest.mark.parametrize("session_id", ["", "nobody", "{}", "created", "expires", "a:b *\0"])
async def test_an_unknown_session(sessions: Sessions, session_id: str) -> None:
    await sessions.create({})
    assert await sessions.get(session_id) is None
    assert await sessions.touch(session_id) is None
    assert await sessions.delete(session_id) is False
    _, total = await sessions.list(10)
    assert total == 1


async def test_only_a_touch_renews(store: Store, sessions: Sessions) -> None:
    created = await Sessions(store.client, 50, store.prefix).create({"a": 1})
    assert await sessions.get(created.id) == created
    touched = await sessions.touch(created.id)
    assert touched is not None
    assert touched.created_at == created.created_at
    assert touched.context == created.context
    assert touched.expires_at - created.expires_at > timedelta(seconds=49)
    assert await sessions.get(created.id) == touched
    assert await sessions.list(10) == ([touched], 1)


async def test_what_expired_is_nowhere(store: Store, sessions: Sessions) -> None:
    brief = Sessions(store.client, 1, store.prefix)
    gone, left = await brief.create({}), await brief.create({})
    stays = await sessions.create({})
    left_until = await sessions.touch(left.id)

    async def expired() -> bool:
        return await brief.get(gone.id) is None

    await eventually(expired)
    assert await brief.touch(gone.id) is None
    assert await brief.delete(gone.id) is False
    assert await sessions.list(10) == ([stays, left_until], 2)


async def test_the_lists_stay_short_if_nobody_lists(store: Store, sessions: Sessions) -> None:
    brief = Sessions(store.client, 1, store.prefix)
    gone = [await brief.create({}) for _ in range(5)]

    async def expired() -> bool:
        return not any([await brief.get(each.id) for each in gone])

    await eventually(expired)
    await sessions.create({})
    for name in ("created", "expires"):
        assert await store.client.zcard(f"{{{store.prefix}:sessions}}:{name}") == 1


async def test_pages_begin_with_the_newest(sessions: Sessions) -> None:
    made = [await sessions.create({"number": number}) for number in range(5)]
    assert await sessions.delete(made[1].id) is True
    assert await sessions.delete(made[1].id) is False
    await sessions.touch(made[0].id)

    async def numbers(limit: int, offset: int) -> tuple[list[int], int]:
        page, total = await sessions.list(limit, offset)
        return [each.context["number"] for each in page], total

    assert await numbers(10, 0) == ([4, 3, 2, 0], 4)
    assert await numbers(2, 0) == ([4, 3], 4)
    assert await numbers(2, 2) == ([2, 0], 4)
    assert await numbers(2, 3) == ([0], 4)
    assert await numbers(2, 4) == ([], 4)
    assert await numbers(0, 0) == ([], 4)


async def test_each_operation_is_one_round_trip(
    sessions: Sessions, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await sessions.create({})
    for warm_up in (sessions.get(session.id), sessions.touch(session.id), sessions.list(10)):
        await warm_up
    commands: list[Any] = []
    execute = store.client.execute_command

    def counting(*command: Any, **options: Any) -> Any:
        commands.append(command[0])
        return execute(*command, **options)

    monkeypatch.setattr(store.client, "execute_command", counting)
    session = await sessions.create({})
    await sessions.get(session.id)
    await sessions.touch(session.id)
    assert commands == ["EVALSHA", "HMGET", "EVALSHA"]


async def test_an_end_wins_over_a_touch_that_comes_with_it(sessions: Sessions) -> None:
    for _ in range(20):
        session = await sessions.create({})
        await asyncio.gather(
            sessions.touch(session.id), sessions.delete(session.id), sessions.touch(session.id)
        )
        assert await sessions.get(session.id) is None
    assert await sessions.list(10) == ([], 0)


async def test_prefixes_do_not_meet(store: Store, sessions: Sessions) -> None:
    session = await sessions.create({})
    others = Sessions(store.client, 100, f"{store.prefix}2")
    assert await others.get(session.id) is None
    assert await others.list(10) == ([], 0)


async def test_a_server_that_lost_its_scripts(cluster_port: int) -> None:
    async with redis_store(cluster_port) as (client, prefix):
        sessions = Sessions(client, 100, prefix)
        session = await sessions.create({})
        await client.script_flush()
        assert await sessions.touch(session.id) is not None


async def test_a_server_that_is_down() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with Redis(port=port, retry=Retry(NoBackoff(), 0)) as client:
            sessions = Sessions(client, 100)
            for operation in (
                sessions.create({}),
                sessions.get("id"),
                sessions.touch("id"),
                sessions.delete("id"),
                sessions.list(10),
            ):
                with pytest.raises(StoreUnavailable, match="Redis does not answer"):
                    await operation
