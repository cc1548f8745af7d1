"""Runs over the wire: latency and throughput of the Agent Server API beside other servers.

    python tests/bench/agent_server.py [--langgraph /path/to/venv/bin/langgraph] [--seconds 5]

The graph is a fake model of 50 chunks without delay. Each server is a process of its own on
loopback and is asked by one client that only reads bytes; the same graph run in this process is the
yardstick. `--langgraph` names LangGraph's development server in an environment of its own.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.checkpoints.redis.servers import free_ports  # noqa: E402 - found by the line above

GRAPH = '''
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, StateGraph, add_messages


class Fake(BaseChatModel):
    """Fifty chunks, at once."""

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("word " * 50))])

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any
    ) -> AsyncIterator[Any]:
        for _ in range(50):
            chunk = ChatGenerationChunk(message=AIMessageChunk("word "))
            if run_manager:
                await run_manager.on_llm_new_token("word ", chunk=chunk)
            yield chunk


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


async def model(state: State) -> dict[str, Any]:
    return {"messages": [await Fake().ainvoke(state["messages"])]}


builder = StateGraph(State)
builder.add_node("model", model)
builder.add_edge(START, "model")
builder.add_edge("model", END)
graph = builder.compile()
'''
CONFIG = {"dependencies": ["."], "graphs": {"agent": "./agent_graph.py:graph"}}
INPUT = {"messages": [{"role": "user", "content": "hello"}]}
WAIT = {"assistant_id": "agent", "input": INPUT}
STREAM = {**WAIT, "stream_mode": ["messages-tuple"]}


class Connection:
    """HTTP/1.1 on one connection, as little of it as these servers need."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, limit=1 << 22
        )
        return self

    def close(self) -> None:
        self._writer.close()

    async def post(self, path: str, body: Any, on_body: Callable[[bytes], None]) -> None:
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self._writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(data) + data)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer.decode() + (await self._reader.read(2000)).decode())
        lower = answer.lower()
        if b"transfer-encoding: chunked" not in lower:
            length = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            on_body(await self._reader.readexactly(length))
            return
        while size := int(await self._reader.readline(), 16):
            on_body((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readline()


async def new_thread(connection: Connection) -> str:
    parts: list[bytes] = []
    await connection.post("/threads", {}, parts.append)
    return str(json.loads(b"".join(parts))["thread_id"])


async def sequential_wait(port: int, seconds: float) -> float:
    """Milliseconds of a stateless run, p50."""
    connection = await Connection(port).open()
    times = list[float]()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begun = time.perf_counter()
        await connection.post("/runs/wait", WAIT, lambda _: None)
        times.append((time.perf_counter() - begun) * 1e3)
    connection.close()
    return statistics.median(times)


async def first_token(port: int, seconds: float) -> float:
    """Milliseconds to the first token on a new thread, p50."""
    connection = await Connection(port).open()
    times = list[float]()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        thread_id = await new_thread(connection)
        begun, seen = time.perf_counter(), list[float]()

        def look(data: bytes, begun: float = begun, seen: list[float] = seen) -> None:
            if not seen and b"event: messages" in data:
                seen.append((time.perf_counter() - begun) * 1e3)

        await connection.post(f"/threads/{thread_id}/runs/stream", STREAM, look)
        times += seen
    connection.close()
    return statistics.median(times)


async def waits_a_second(port: int, side_by_side: int, seconds: float) -> float:
    """Stateless runs a second."""
    done = 0
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal done
        connection = await Connection(port).open()
        while time.perf_counter() < end:
            await connection.post("/runs/wait", WAIT, lambda _: None)
            done += 1
        connection.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(side_by_side)))
    return done / (time.perf_counter() - begun)


async def streams_a_second(port: int, side_by_side: int, seconds: float) -> tuple[float, float]:
    """Streams on threads a second, and their events."""
    done = events = 0
    end = time.perf_counter() + seconds

    def count(data: bytes) -> None:
        nonlocal events
        events += data.count(b"event: ")

    async def client() -> None:
        nonlocal done
        connection = await Connection(port).open()
        thread_id = await new_thread(connection)
        while time.perf_counter() < end:
            if done % 10 == 0:  # a thread grows; ten turns each keep it short
                thread_id = await new_thread(connection)
            await connection.post(f"/threads/{thread_id}/runs/stream", STREAM, count)
            done += 1
        connection.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(side_by_side)))
    took = time.perf_counter() - begun
    return done / took, events / took


async def in_process(folder: Path, seconds: float) -> float:
    """Streams a second of the bare graph, without a server and without memory."""
    sys.path.insert(0, str(folder))
    graph = import_module("agent_graph").graph
    done = 0
    begun = time.perf_counter()
    while time.perf_counter() < begun + seconds:
        async for _ in graph.astream(INPUT, stream_mode=["messages"]):
            pass
        done += 1
    return done / (time.perf_counter() - begun)


@contextmanager
def served(command: list[str], folder: Path, port: int, log: Path) -> Iterator[psutil.Process]:
    """A server as a process, ended with all it started."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("EVERTURN_", "LANG"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=output,
            stderr=output,
            env={**clean, "PYTHONPATH": str(ROOT), "EVERTURN_DATA_DIR": str(folder / "data")},
        )
    try:
        _await_port(port, process, log)
        yield psutil.Process(process.pid)
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(30)
        for child in psutil.wait_procs(children, timeout=5)[1]:
            child.kill()


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    import socket

    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(1)
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(log.read_text()[-2000:])


def memory(process: psutil.Process) -> dict[str, float]:
    """MB of the server, and of the stores that it started."""
    children = process.children(recursive=True)
    stores = [each for each in children if "valkey" in each.name()]
    servers = [process, *(each for each in children if each not in stores)]
    return {
        "MB after": sum(each.memory_info().rss for each in servers) / 1e6,
        "MB of its Valkey": sum(each.memory_info().rss for each in stores) / 1e6,
    }


async def measure(port: int, seconds: float) -> dict[str, float]:
    """Every figure of one server."""
    await sequential_wait(port, 0.5)  # warm
    found = {
        "wait p50 ms": await sequential_wait(port, seconds),
        "first token p50 ms": await first_token(port, seconds),
    }
    for side_by_side in (8, 32):
        found[f"waits/s, {side_by_side}"] = await waits_a_second(port, side_by_side, seconds)
    for side_by_side in (8, 32):
        streams, events = await streams_a_second(port, side_by_side, seconds)
        found[f"streams/s, {side_by_side}"], found[f"events/s, {side_by_side}"] = streams, events
    return found


def run(measuring: Any) -> Any:
    """On uvloop where there is one: the client must not be what is measured."""
    try:
        return import_module("uvloop").run(measuring)
    except ImportError:
        return asyncio.run(measuring)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--langgraph", help="LangGraph's command, to run its development server")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each figure")
    parser.add_argument("--redis", help="REDIS_URL; else the embedded one")
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="ev-") as temporary:
        folder = Path(temporary)
        (folder / "agent_graph.py").write_text(GRAPH)
        (folder / "langgraph.json").write_text(json.dumps(CONFIG))
        port = free_ports(1)[0]
        ours = [sys.executable, "-m", "everturn.server", "serve", "--port", str(port)]
        servers = {"everturn": (ours, port)}
        if options.langgraph:
            other = free_ports(1)[0]
            theirs = [options.langgraph, "dev", "--no-browser", "--no-reload", "--port", str(other)]
            servers["langgraph dev"] = (theirs, other)
        for name, (command, at) in servers.items():
            with served(command, folder, at, folder / f"{at}.log") as process:
                results[name] = run(measure(at, options.seconds))
                results[name] |= memory(process)
        bare = run(in_process(folder, options.seconds))
    print(f"bare graph in process: {bare:.0f} streams/s")
    print("| | " + " | ".join(results) + " |\n|---|" + "---|" * len(results))
    for figure in next(iter(results.values())):
        print(f"| {figure} | " + " | ".join(f"{r[figure]:,.1f}" for r in results.values()) + " |")
    share = results["everturn"]["streams/s, 32"] / bare
    print(f"share of the bare rate: {share:.0%}")


if __name__ == "__main__":
    main()
