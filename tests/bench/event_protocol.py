"""Turns over the event protocol beside turns over the run streams, in one run of one server.

    python tests/bench/event_protocol.py [--langgraph /path/to/venv/bin/langgraph] [--seconds 5]

A client of the protocol keeps one stream of its thread open, starts a run by a command, and reads
to the run's end: ten turns a thread. A client of the run streams has the same modes. `--langgraph`
names LangGraph's development server in an environment of its own.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.agent_server import (  # noqa: E402 - found by the line above
    CONFIG,
    GRAPH,
    INPUT,
    WAIT,
    Connection,
    new_thread,
    run,
    served,
)
from tests.checkpoints.redis.servers import free_ports  # noqa: E402

CHANNELS = {"channels": ["values", "messages", "lifecycle", "input", "tools", "updates"]}
STREAM = {**WAIT, "stream_mode": ["values", "messages-tuple", "updates"]}
TURNS = 10
IDLE = 1000
TOKENS = 50


class Follower:
    """A client of the event protocol, on one thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.thread_id = str(uuid4())
        self._ended = asyncio.Event()
        self._tail = b""
        self._number = 0
        self.first: float | None = None
        self.bytes = self.deltas = 0

    async def open(self) -> "Follower":
        self._commands = await Connection(self._port).open()
        return self

    async def turn(self) -> float:
        """Run once; returns the seconds to the first token."""
        self._number += 1
        self._ended.clear()
        self.first = None
        begun = time.perf_counter()
        params = {"assistant_id": "agent", "input": INPUT}
        command = {"id": self._number, "method": "run.start", "params": params}
        await self._commands.post(f"/threads/{self.thread_id}/commands", command, _check)
        if self._number == 1:
            self._stream = await Connection(self._port).open()
            following = self._stream.post(
                f"/threads/{self.thread_id}/stream/events", CHANNELS, self._look
            )
            self._following = asyncio.create_task(following)
        await self._ended.wait()
        return (self.first or time.perf_counter()) - begun

    def _look(self, data: bytes) -> None:
        self.bytes += len(data)
        self.deltas += data.count(b'"text-delta"')
        data = self._tail + data
        if self.first is None and b'"text-delta"' in data:
            self.first = time.perf_counter()
        lifecycle = data.find(b'"namespace":[]', max(0, data.rfind(b"event: lifecycle")))
        if lifecycle >= 0 and b'"event":"completed"' in data[lifecycle:]:
            self._ended.set()
            self._tail = b""
        else:
            self._tail = data[-600:]

    async def close(self) -> None:
        self._following.cancel()
        await asyncio.wait({self._following})
        self._commands.close()
        self._stream.close()


def _check(data: bytes) -> None:
    if b'"success"' not in data:
        raise RuntimeError(data.decode())


async def protocol(port: int, side_by_side: int, seconds: float) -> dict[str, float]:
    """Turns a second over the event protocol, and what they cost."""
    done, firsts, sizes = 0, list[float](), list[float]()
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < end:
            follower = await Follower(port).open()
            for _ in range(TURNS):
                firsts.append(await follower.turn())
                done += 1
                if time.perf_counter() > end:
                    break
            sizes.append(follower.bytes / max(1, follower.deltas))
            await follower.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(side_by_side)))
    return {
        "turns/s": done / (time.perf_counter() - begun),
        "first token p50 ms": statistics.median(firsts) * 1e3,
    }


async def token_bytes(port: int) -> float:
    """Bytes that a token costs on the wire, of the channel `messages` alone."""
    follower = await Follower(port).open()
    connection = await Connection(port).open()
    await follower.turn()
    found = bytearray()
    path = f"/threads/{follower.thread_id}/stream/events"
    reading = asyncio.create_task(connection.post(path, {"channels": ["messages"]}, found.extend))
    await asyncio.sleep(1)
    reading.cancel()
    await asyncio.wait({reading})
    await follower.close()
    return len(found) / found.count(b'"text-delta"')


async def run_streams(port: int, side_by_side: int, seconds: float) -> dict[str, float]:
    """Turns a second over the run streams, with the same modes."""
    done, firsts = 0, list[float]()
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal done
        connection = await Connection(port).open()
        while time.perf_counter() < end:
            thread_id = await new_thread(connection)
            for _ in range(TURNS):
                begun, seen = time.perf_counter(), list[float]()

                def look(data: bytes, seen: list[float] = seen) -> None:
                    if not seen and b"event: messages" in data:
                        seen.append(time.perf_counter())

                await connection.post(f"/threads/{thread_id}/runs/stream", STREAM, look)
                firsts.append(seen[0] - begun)
                done += 1
                if time.perf_counter() > end:
                    break
        connection.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(side_by_side)))
    return {
        "turns/s": done / (time.perf_counter() - begun),
        "first token p50 ms": statistics.median(firsts) * 1e3,
    }


async def idle(port: int, process: psutil.Process) -> float:
    """KB that an idle subscription costs the server."""
    commands = await Connection(port).open()
    thread_id = await new_thread(commands)
    before = process.memory_info().rss
    connections = [await Connection(port).open() for _ in range(IDLE)]
    path = f"/threads/{thread_id}/stream/events"
    following = [asyncio.create_task(c.post(path, CHANNELS, lambda _: None)) for c in connections]
    await asyncio.sleep(12)  # heartbeats have come
    cost = (process.memory_info().rss - before) / IDLE / 1e3
    for each in following:
        each.cancel()
    await asyncio.wait(following)
    for connection in connections:
        connection.close()
    commands.close()
    return cost


async def measure(port: int, seconds: float) -> dict[str, float]:
    """Every figure of one server: both wires take turns."""
    await protocol(port, 1, 0.5)  # warm
    found = dict[str, float]()
    for side_by_side in (1, 32):
        both: dict[str, list[dict[str, float]]] = {"protocol": [], "run streams": []}
        for _ in range(3):
            both["protocol"].append(await protocol(port, side_by_side, seconds / 3))
            both["run streams"].append(await run_streams(port, side_by_side, seconds / 3))
        for wire, rounds in both.items():
            for figure in rounds[0]:
                middle = statistics.median(each[figure] for each in rounds)
                found[f"{wire}, {side_by_side} side by side: {figure}"] = middle
    found["bytes a token"] = await token_bytes(port)
    return found


@contextmanager
def folder_with_graph() -> Iterator[Path]:
    """A project of one graph."""
    with tempfile.TemporaryDirectory(prefix="ev-") as temporary:
        folder = Path(temporary)
        (folder / "agent_graph.py").write_text(GRAPH)
        (folder / "langgraph.json").write_text(json.dumps(CONFIG))
        yield folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--langgraph", help="LangGraph's command, to run its development server")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each figure")
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    with folder_with_graph() as folder:
        port, other = free_ports(2)
        ours = [sys.executable, "-m", "everturn.server", "serve", "--port", str(port)]
        servers = {"everturn": (ours, port)}
        if options.langgraph:
            theirs = [options.langgraph, "dev", "--no-browser", "--no-reload", "--port", str(other)]
            servers["langgraph dev"] = (theirs, other)
        for name, (command, at) in servers.items():
            with served(command, folder, at, folder / f"{at}.log") as process:
                results[name] = run(measure(at, options.seconds))
                if name == "everturn":
                    results[name]["KB an idle subscription"] = run(idle(at, process))
    print("| | " + " | ".join(results) + " |\n|---|" + "---|" * len(results))
    for figure in results["everturn"]:
        shown = (f"{r[figure]:,.1f}" if figure in r else "" for r in results.values())
        print(f"| {figure} | " + " | ".join(shown) + " |")
    one = results["everturn"]
    share = one["protocol, 32 side by side: turns/s"] / one["run streams, 32 side by side: turns/s"]
    print(f"the protocol's rate beside the run streams': {share:.2f}")


if __name__ == "__main__":
    main()
