"""Bad input and a wrong Redis: a named error that says what to do, and nothing half-written."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
import redis
import redis.asyncio as aio

from everturn.checkpoints.errors import CheckpointsError, StoreMisconfigured, StoreUnavailable
from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from everturn.checkpoints.redis.codec import Unserializable
from everturn.checkpoints.redis.connect import create_async_client, create_client
from tests.checkpoints.redis.samples import checkpoint, listed, place, put
from tests.checkpoints.redis.servers import Server, free_ports, redis_binary, serving, valkey_binary


@pytest.fixture(params=["redis", "valkey"])
def binary(request: pytest.FixtureRequest) -> str:
    found = redis_binary() if request.param == "redis" else valkey_binary()
    if found is None:
        pytest.skip(f"no {request.param} to start")
    return found


async def refusal(url: str, kind: type[CheckpointsError] = StoreMisconfigured) -> str:
    """What both savers say to a server that cannot serve."""
    with pytest.raises(kind) as asynchronous:
        async with AsyncRedisSaver.from_url(url):
            pass
    with pytest.raises(kind) as synchronous, RedisSaver.from_url(url):
        pass
    assert str(synchronous.value).split(":")[0] == str(asynchronous.value).split(":")[0]
    return str(asynchronous.value)


async def test_nobody_listens() -> None:
    said = await refusal(f"redis://:s3cret@127.0.0.1:{free_ports(1)[0]}", StoreUnavailable)
    assert "does not answer" in said
    assert "s3cret" not in said
    assert "does not answer" in await refusal("unix:///nowhere/socket", StoreUnavailable)


async def test_a_login_is_wanted_and_the_right_one(binary: str) -> None:
    with serving(binary, "--requirepass", "right") as server:
        socket = f"{server.folder}/socket"
        assert "user and password" in await refusal(f"unix://{socket}")
        said = await refusal(f"unix://:s3cret@{socket}")
        assert "user and password" in said
        assert "s3cret" not in said
        async with AsyncRedisSaver.from_url(f"unix://:right@{socket}") as saver:
            await put(saver, place())


async def test_a_user_without_rights(binary: str) -> None:
    with serving(
        binary, "--user", *["poor", "on", ">p", "+info", "+ping", "+hello", "~*"]
    ) as server:
        assert "rights" in await refusal(f"unix://poor:p@{server.folder}/socket")


async def test_a_read_only_replica(binary: str) -> None:
    with serving(binary) as server, server.admin() as admin:
        admin.replicaof("127.0.0.1", str(free_ports(1)[0]))
        assert "primary" in await refusal(server.url)
        client = create_async_client(server.url)
        with pytest.raises(StoreMisconfigured, match="primary"):
            await put(AsyncRedisSaver(client), place())
        await client.aclose()


async def test_a_primary_that_was_replaced_may_be_tried_again(binary: str) -> None:
    """Once it has served, a server that turns read-only is failing over."""
    with serving(binary) as server, server.admin() as admin:
        async with AsyncRedisSaver.from_url(server.url) as saver:
            config = await put(saver, place(), {"c": 1})
            admin.replicaof("127.0.0.1", str(free_ports(1)[0]))
            with pytest.raises(StoreUnavailable, match="failing over"):
                await put(saver, config)
            admin.replicaof("NO", "ONE")
            await put(saver, config)
            assert len(await listed(saver, place())) == 2


async def test_memory_is_full(binary: str) -> None:
    with serving(binary, "--maxmemory-policy", "noeviction") as server, server.admin() as admin:
        async with AsyncRedisSaver.from_url(server.url) as saver:
            config = await put(saver, place(__ttl=1000), {"c": "x" * 10_000})
            admin.config_set("maxmemory", 1)
            for writing in (
                put(saver, config, {"c": "y" * 100_000}),
                saver.aput_writes(config, [("c", "y" * 100_000)], "task"),
            ):
                with pytest.raises(StoreUnavailable, match="maxmemory"):
                    await writing
            found = await saver.aget_tuple(place())
            assert found is not None
            assert found.checkpoint["channel_values"] == {"c": "x" * 10_000}
            assert found.pending_writes == []
            assert len(await listed(saver, place())) == 1
            await saver.adelete_thread("thread")
            assert await saver.aget_tuple(place()) is None


async def test_a_node_of_a_cluster(cluster_url: str) -> None:
    node = cluster_url.removeprefix("redis+cluster://").split(",")[0]
    assert "redis+cluster://" in await refusal(f"redis://{node}")
    client = create_async_client(f"redis://{node}")
    saver = AsyncRedisSaver(client, prefix="refused")
    answers = await asyncio.gather(
        *(put(saver, place(f"{n}")) for n in range(20)), return_exceptions=True
    )
    for answer in answers:
        if isinstance(answer, BaseException):
            assert isinstance(answer, StoreMisconfigured)
            assert "redis+cluster://" in str(answer)
    assert any(isinstance(answer, StoreMisconfigured) for answer in answers)
    await client.aclose()


def test_a_cluster_url_for_a_single_server(valkey: Server) -> None:
    """Redis-py finds out when it asks for the slots."""
    port = free_ports(1)[0]
    with (
        serving(redis_binary() or valkey.binary, port=port),
        pytest.raises(StoreMisconfigured, match="redis://"),
        RedisSaver.from_url(f"redis+cluster://127.0.0.1:{port}"),
    ):
        pass


Answer = Callable[[bytes], bytes]


@pytest.fixture
def pretender() -> Iterator[Callable[[Answer], str]]:
    """Starts servers that are not what they should be; returns their address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers: list[asyncio.Server] = []

    def start(answer: Answer) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while data := await reader.read(65536):
                    writer.write(answer(data))
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

        opened = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(serve, "127.0.0.1", 0), loop
        ).result()
        servers.append(opened)
        return f"127.0.0.1:{opened.sockets[0].getsockname()[1]}"

    yield start

    async def end() -> None:
        for server in servers:
            server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def old_redis(data: bytes) -> bytes:
    """Redis 5, as far as it is asked."""
    info = b"# Server\r\nredis_version:5.0.14\r\nrole:master\r\n"
    answers = b""
    for command in data.split(b"*")[1:]:
        if b"INFO" in command:
            answers += b"$%d\r\n%s\r\n" % (len(info), info)
        elif b"EVAL" in command:
            answers += b":1\r\n"
        elif b"CLIENT" in command or b"SELECT" in command:
            answers += b"+OK\r\n"
        else:
            answers += b"-ERR unknown command\r\n"
    return answers


async def test_a_server_that_is_too_old(pretender: Callable[[Answer], str]) -> None:
    said = await refusal(f"redis://{pretender(old_redis)}?protocol=2")
    assert said == "Redis 5.0.14 is too old: the checkpointer needs 6.2 or newer, or Valkey."


async def test_a_server_that_is_none(pretender: Callable[[Answer], str]) -> None:
    http = pretender(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert "does not speak the Redis protocol" in await refusal(f"redis://{http}")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://host", "begins with 'http'"),
        ("host:6379", "begins with 'host'"),
        ("", "begins with ''"),
        ("redis+other://host", "begins with 'redis\\+other'"),
        ("redis+sentinel://host", "names no service"),
        ("redis+cluster://host:port", "cannot be read"),
        ("redis://host:port", "a port must be a number"),
        ("redis://host:65536", "a port must be a number"),
        ("redis://user:s3cret/more@host", "a port must be a number"),
        ("redis://host,other", "several hosts"),
        ("redis://host/first", "no database"),
        ("redis+cluster://host/1", "no databases"),
        ("redis://host?colour=blue", "colour"),
        ("unix://", "names no socket"),
        ("redis://:s3cret@host?socket_timeout=soon", "socket_timeout"),
    ],
)
def test_a_url_that_cannot_be_read(url: str, says: str) -> None:
    for create in (create_client, create_async_client):
        with pytest.raises(StoreMisconfigured, match=says) as refused:
            create(url)
        assert "s3cret" not in str(refused.value)


async def test_a_client_that_decodes_replies_is_refused() -> None:
    with pytest.raises(ValueError, match="decode_responses"):
        RedisSaver(redis.Redis(decode_responses=True))
    with pytest.raises(ValueError, match="decode_responses"):
        AsyncRedisSaver(aio.Redis(decode_responses=True))


def test_a_client_of_the_other_kind_is_refused() -> None:
    client: Any
    for client in (redis.Redis(), "redis://host"):
        with pytest.raises(TypeError, match=r"redis\.asyncio.*from_url"):
            AsyncRedisSaver(client)
    for client in (aio.Redis(), "redis://host"):
        with pytest.raises(TypeError, match=r"synchronous.*from_url"):
            RedisSaver(client)


@pytest.mark.parametrize("number", [0, -1, 60.5, 2**31, True, "60", {"default_ttl": 60}])
def test_what_is_no_lifetime_and_no_count_is_refused(number: Any) -> None:
    """Before anything is stored: a server refuses such a lifetime after it took the rest."""
    for name in ("ttl", "keep"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number"):
            RedisSaver(redis.Redis(), **{name: number})
        with pytest.raises(ValueError, match=f"{name} must be a whole number"):
            AsyncRedisSaver(aio.Redis(), **{name: number})


async def test_one_id_is_no_list_of_ids(saver: AsyncRedisSaver) -> None:
    await put(saver, place("t"), metadata={"run_id": "r"})
    with pytest.raises(TypeError, match="list of ids"):
        await saver.aprune("thread", strategy="delete")
    with pytest.raises(TypeError, match="list of ids"):
        await saver.adelete_for_runs("run", thread_id="t")
    assert await saver.aget_tuple(place("t")) is not None


class Opaque:
    """Nothing can serialise this."""


async def test_a_value_that_cannot_be_stored(saver: AsyncRedisSaver) -> None:
    config = await put(saver, place(), {"c": 1})
    good, bad = "x" * 10_000, {"deep": [Opaque()]}
    with pytest.raises(Unserializable, match="Channel 'bad' holds a dict that cannot be stored"):
        await put(saver, config, {"good": good, "bad": bad})
    with pytest.raises(Unserializable, match="A write to 'bad'"):
        await saver.aput_writes(config, [("good", good), ("bad", bad)], "task")
    with pytest.raises(Unserializable, match="metadata"):
        await put(saver, config, {"c": 1}, {"bad": Opaque()})
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.config == config
    assert found.pending_writes == []


async def test_a_huge_channel(saver: AsyncRedisSaver) -> None:
    huge = {
        "text": "0123456789" * 1_000_000,
        "bytes": bytes(10_000_000),
        "list": list(range(10**6)),
    }
    config = await put(saver, place(), huge)
    await saver.aput_writes(config, [("text", huge["text"])], "task")
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.checkpoint["channel_values"] == huge
    assert found.pending_writes == [("task", "text", huge["text"])]


async def test_thousands_of_channels_and_writes(saver: AsyncRedisSaver) -> None:
    """More than Lua takes as arguments of one command."""
    many = {f"channel-{number}": number for number in range(9000)}
    config = await put(saver, place(), many)
    await saver.aput_writes(config, list(many.items()), "task")
    emptied = checkpoint({}, dict.fromkeys(many, "2"))
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.checkpoint["channel_values"] == many
    assert len(found.pending_writes or ()) == 9000
    config = await saver.aput(config, emptied, {}, dict.fromkeys(many, "2"))
    await saver.aprune(["thread"])
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.checkpoint["channel_values"] == {}


@pytest.mark.parametrize(
    "use",
    [
        lambda saver: saver.aget_tuple({"configurable": {}}),
        lambda saver: saver.aget_tuple({}),
        lambda saver: listed(saver, {"configurable": {"checkpoint_ns": ""}}),
        lambda saver: put(saver, {"configurable": {"thread_id": None}}),
    ],
)
async def test_a_config_without_a_thread(
    valkey: Server, use: Callable[[AsyncRedisSaver], Awaitable[object]]
) -> None:
    async with AsyncRedisSaver.from_url(valkey.url) as saver:
        with pytest.raises(ValueError, match="thread_id"):
            await use(saver)
        for name in ("checkpoint_ns", "checkpoint_id"):
            with pytest.raises(ValueError, match=f"{name}.* must be a string"):
                await saver.aget_tuple({"configurable": {"thread_id": "t", name: uuid4()}})
        with pytest.raises(ValueError, match="checkpoint_id"):
            await saver.aput_writes(place(), [("c", 1)], "task")
