"""The client of a cluster: many calls at once, and nodes that change under it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import MovedError
from redis.exceptions import TimeoutError as TimedOut

from everturn.checkpoints.checkup.servers import look_at_redis
from everturn.checkpoints.redis.cluster import AsyncCluster
from everturn.checkpoints.redis.connect import create_async_client
from everturn.checkpoints.redis.info import infos
from everturn.checkpoints.redis.lua import Lua
from everturn.checkpoints.redis.space import redis_space
from tests.checkpoints.redis.samples import looking_into

_INCREASE = "return redis.call('INCR', KEYS[1])"


@pytest.fixture
async def client(cluster_url: str) -> AsyncIterator[AsyncCluster]:
    """One that has not been used yet."""
    created: Any = create_async_client(cluster_url)
    yield created
    await created.aclose()


@pytest.fixture
def key() -> str:
    return f"{{test-{uuid4().hex}}}"


async def test_more_calls_at_once_than_a_node_has_connections(
    client: AsyncCluster, key: str
) -> None:
    increase = Lua(client, _INCREASE)
    replies = await asyncio.gather(*(increase([key]) for _ in range(500)))
    assert sorted(replies) == list(range(1, 501))
    waits = [client.blpop([f"{key}:none"], timeout=0.1) for _ in range(150)]
    assert await asyncio.gather(*waits) == [None] * 150


async def test_a_cluster_that_has_changed_costs_other_calls_nothing(
    client: AsyncCluster, key: str
) -> None:
    """redis-py closes all connections then, and sends what comes next to any node."""
    await client.ping()
    client.reinitialize_steps = 1
    node = client.get_node_from_key(key)
    assert node is not None
    execute, moved = type(node).execute_command, 0

    async def refuse_now_and_then(self: Any, *args: Any, **how: Any) -> Any:
        nonlocal moved
        moved += 1
        if args[0] == "INCR" and moved % 7 == 0:
            slot = client.keyslot(key)
            raise MovedError(f"{slot} {node.host}:{node.port}")
        return await execute(self, *args, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(node), "execute_command", refuse_now_and_then)
        replies = await asyncio.gather(*(client.incr(key) for _ in range(300)))
    assert sorted(replies) == list(range(1, 301))


async def test_after_a_pipeline_that_met_a_dead_node_the_client_looks_again(
    client: AsyncCluster, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.set(key, "here")
    looked: list[bool] = []
    initialize = client.nodes_manager.initialize

    async def look(*args: Any, **how: Any) -> None:
        looked.append(True)
        await initialize(*args, **how)

    async def dead(*_: Any) -> Any:
        raise NotConnected("it is dead")

    node: Any = type(client.get_node_from_key(key))
    with monkeypatch.context() as patch:
        patch.setattr(node, "execute_pipeline", dead)
        pipeline = client.pipeline()
        pipeline.get(key)
        with pytest.raises(NotConnected):
            await pipeline.execute()
    monkeypatch.setattr(type(client.nodes_manager), "initialize", lambda _, **how: look(**how))
    assert await client.get(key) == b"here"
    assert looked == [True]


async def test_where_no_node_answers_all_callers_learn_it_at_once(
    client: AsyncCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each looks after the one before it, and the hundredth waits for a hundred silences."""
    looks = 0

    async def silent(*_: Any, **__: Any) -> None:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0.05)
        raise TimedOut("no node answers")

    with monkeypatch.context() as patch:
        patch.setattr(type(client.nodes_manager), "initialize", silent)
        calls = [asyncio.ensure_future(client.get("a key")) for _ in range(20)]
        await asyncio.sleep(0)
        calls[0].cancel()  # who leaves takes nothing from the others
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert {type(each) for each in results[1:]} == {TimedOut}
    assert looks == 1
    assert await client.get("a key") is None  # and the next one looks again


@pytest.mark.parametrize("known", [True, False])
async def test_calls_go_on_while_a_slot_moves(
    client: AsyncCluster, key: str, cluster_url: str, *, known: bool
) -> None:
    """To a node that clients know, or that has no slots yet."""
    increase = Lua(client, _INCREASE)
    await asyncio.gather(*(increase([f"{{{n}}}"]) for n in range(50)))  # over many connections
    with looking_into(cluster_url) as admin:
        slot, source = admin.keyslot(key), admin.get_node_from_key(key)
        target = next(each for each in admin.get_primaries() if each.name != source.name)

        def tell(node: Any, *what: Any) -> Any:
            return admin.execute_command(*what, target_nodes=node)

        tell(target, "CLUSTER SETSLOT", slot, "IMPORTING", tell(source, "CLUSTER MYID"))
        tell(source, "CLUSTER SETSLOT", slot, "MIGRATING", tell(target, "CLUSTER MYID"))
        try:
            if not known:
                await client.nodes_manager.nodes_cache.pop(target.name).disconnect()
            assert [await increase([key]) for _ in range(3)] == [1, 2, 3]
            several = asyncio.gather(*(increase([key]) for _ in range(50)))
            assert sorted(await several) == [*range(4, 54)]
            pipeline = client.pipeline()
            pipeline.incr(key)
            assert await pipeline.execute() == [54]
        finally:
            for node in (source, target):
                tell(node, "CLUSTER SETSLOT", slot, "STABLE")


async def test_all_primaries_say_how_they_are(client: AsyncCluster) -> None:
    said = await infos(client)
    assert len(said) == 3
    assert {each["role"] for each in said.values()} == {"master"}
    assert (await redis_space(client)).data == pytest.approx(
        sum(each["used_memory_dataset"] for each in said.values()), rel=0.5
    )


async def test_the_doctor_looks_at_each_primary(client: AsyncCluster) -> None:
    found = [each async for each in look_at_redis(client)]
    versions = [each.says.partition(": version ")[0] for each in found if "version" in each.says]
    assert sorted(versions) == sorted(await infos(client))
    assert sum("it has no replica" in each.says for each in found) == 3
    assert sum("its clock agrees" in each.says for each in found) == 3
