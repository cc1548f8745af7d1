"""A rolling replacement under load: no client may see an error, and no turn may be lost.

    python -m tests.bench.rolling_replacement [--clients 12] [--rounds 1]

Runs what the overlay `production` does, on one machine: three processes that answer clients
(`EVERTURN_ROLE=api`) behind HAProxy, and two workers, on a Redis Cluster of three primaries with a
replica each and on PostgreSQL. While clients ask by all doors, each process is drained by SIGTERM
and replaced by a new one.

Printed are the turns by door, the errors that clients saw, and what the stores hold of it. The exit
code is 1 where a client saw an error, or a turn is not there exactly once.
`haproxy`, `redis-server` or `valkey-server`, and PostgreSQL must be on the machine.
"""

import argparse
import asyncio
import json
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk import get_client

from tests.checkpoints.redis.servers import (
    free_ports,
    redis_binary,
    serving_cluster,
    valkey_binary,
)
from tests.checkpoints.stores import new_postgres_database
from tests.service import Process
from tests.waiting import PATIENCE, eventually_sync

DELAY = 3.0
"""Seconds a process goes on as before after SIGTERM: the proxy must notice within them."""
PROXY = """
global
    maxconn 4096
defaults
    mode http
    timeout connect 2s
    timeout client 10m
    timeout server 10m
    option redispatch 1
    retries 3
    retry-on conn-failure
frontend front
    bind 127.0.0.1:{port}
    default_backend api
backend api
    balance roundrobin
    option httpchk
    http-check send meth GET uri /ready ver HTTP/1.1 hdr Host localhost
    default-server check inter 500ms fall 1 rise 1
{servers}
"""


@dataclass
class Seen:
    """What the clients saw."""

    turns: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    said: dict[str, list[str]] = field(default_factory=dict)
    """What was answered, by the thread."""
    background: list[tuple[str, str]] = field(default_factory=list)
    """Runs that were acknowledged, with their threads."""


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    binary = redis_binary() or valkey_binary()
    if not binary or not shutil.which("haproxy"):
        raise SystemExit("haproxy, and redis-server or valkey-server, must be on this machine")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stores = {
            "EVERTURN_REDIS_URL": stack.enter_context(serving_cluster(binary, replicas=True)),
            "EVERTURN_DATABASE_URL": (
                await stack.enter_async_context(new_postgres_database())
            ).render_as_string(hide_password=False),
            "EVERTURN_SHUTDOWN_DELAY": str(DELAY),
        }
        fleet = Fleet(folder, stores)
        stack.callback(fleet.end)
        fleet.start()
        url = stack.enter_context(proxied(folder, fleet.ports))
        seen = Seen()
        done = asyncio.Event()
        clients = [asyncio.create_task(ask(url, n, seen, done)) for n in range(given.clients)]
        await asyncio.sleep(5)
        for number in range(given.rounds):
            for slot in range(len(fleet.processes)):
                begun = time.monotonic()
                code = await asyncio.to_thread(fleet.replace, slot)
                took = time.monotonic() - begun
                print(
                    f"round {number + 1}: {fleet.name(slot)} ended with {code}; its successor is "
                    f"ready after {took:.1f} s; {sum(seen.turns.values())} turns so far"
                )
        await asyncio.sleep(5)
        done.set()
        await asyncio.gather(*clients)
        return await look(url, seen)


class Fleet:
    """Three processes that answer clients, and two workers."""

    def __init__(self, folder: Path, stores: dict[str, str]) -> None:
        self.ports = free_ports(3)
        self._folder, self._stores = folder, stores
        self._ready = free_ports(2)
        self.processes: list[Process] = []

    def name(self, slot: int) -> str:
        return f"api {slot}" if slot < len(self.ports) else f"worker {slot - len(self.ports)}"

    def start(self) -> None:
        self.processes = [self._begin(slot) for slot in range(len(self.ports) + len(self._ready))]
        for slot in range(len(self.processes)):
            self._wait(slot)

    def replace(self, slot: int) -> int:
        """Drain a process, start another one in its place, and return the old one's exit code."""
        code = self.processes[slot].stop()
        self.processes[slot] = self._begin(slot)
        self._wait(slot)
        return code

    def end(self) -> None:
        for each in self.processes:
            each.kill()

    def _begin(self, slot: int) -> Process:
        data = self._folder / f"{slot}"
        if slot < len(self.ports):
            port = str(self.ports[slot])
            return Process(data, "--port", port, **self._stores, EVERTURN_ROLE="api")
        port = str(self._ready[slot - len(self.ports)])
        return Worker(data, **self._stores, EVERTURN_METRICS_PORT=port)

    def _wait(self, slot: int) -> None:
        port = [*self.ports, *self._ready][slot]

        def is_ready() -> bool:
            if self.processes[slot].popen.poll() is not None:
                raise RuntimeError("".join(self.processes[slot].log))
            try:
                return httpx.get(f"http://127.0.0.1:{port}/ready").is_success
            except httpx.TransportError:
                return False

        eventually_sync(is_ready)


class Worker(Process):
    """`everturn worker`."""

    command = (*Process.command[:3], "worker")


@contextmanager
def proxied(folder: Path, ports: list[int]) -> Iterator[str]:
    """HAProxy before the processes, as an ingress would be; the URL of it."""
    (port,) = free_ports(1)
    servers = "\n".join(f"    server s{p} 127.0.0.1:{p}" for p in ports)
    config = folder / "haproxy.cfg"
    config.write_text(PROXY.format(port=port, servers=servers))
    running = subprocess.Popen(["haproxy", "-q", "-f", config])

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/ok").is_success
        except httpx.TransportError:
            return False

    try:
        eventually_sync(answers)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait()


async def ask(url: str, number: int, seen: Seen, done: asyncio.Event) -> None:
    """One client: turn after turn on a thread of its own, by one door after the other."""
    chance = random.Random(number)
    async with (
        httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http,
        get_client(url=url) as sdk,
    ):
        thread = (await sdk.threads.create())["thread_id"]
        session = (await http.post("/api/chat/session", json={})).json()["session_id"]
        turn = 0
        while not done.is_set():
            turn += 1
            a, b = chance.randint(10, 99), chance.randint(10, 99)
            door, (key, act) = _DOORS[turn % len(_DOORS)]
            where = session if key == "session" else thread
            begun = time.monotonic()
            try:
                text = await act(http, sdk, where, f"Calculate {a} * {b}", seen)
            except Exception as error:
                seen.errors.append(f"{door}: {type(error).__name__}: {str(error)[:300]}")
                continue
            seen.turns[door] += 1
            seen.seconds.append(time.monotonic() - begun)
            if text is not None and str(a * b) not in text:
                seen.errors.append(f"{door}: {a} * {b} was answered {text[:200]!r}")
            seen.said.setdefault(where, []).append(f"Calculate {a} * {b}")


Act = Callable[[httpx.AsyncClient, Any, str, str, Seen], Awaitable[str | None]]


async def by_chat(http: httpx.AsyncClient, _: Any, where: str, text: str, seen: Seen) -> str:
    body = {"session_id": where, "message": text}
    answer = (await http.post("/api/chat/message", json=body)).raise_for_status().json()
    return str(answer["response"])


async def by_chat_stream(http: httpx.AsyncClient, _: Any, where: str, text: str, seen: Seen) -> str:
    body = {"session_id": where, "message": text}
    words, name = "", ""
    async with http.stream("POST", "/api/chat/message/stream", json=body) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data" and name == "message":
                words += json.loads(value)["content"]
    if name != "done":
        raise RuntimeError(f"the stream broke off after {name!r}: {words[-300:]}")
    return words


def _input(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def by_wait(_: Any, sdk: Any, where: str, text: str, seen: Seen) -> str:
    values = await sdk.runs.wait(where, "agent", input=_input(text))
    return str(values["messages"][-1]["content"])


async def by_stream(_: Any, sdk: Any, where: str, text: str, seen: Seen) -> str:
    last: Any = None
    async for part in sdk.runs.stream(where, "agent", input=_input(text), stream_mode="values"):
        if part.event == "error":
            raise RuntimeError(str(part.data))
        last = part.data
    return str(last["messages"][-1]["content"])


async def by_background(_: Any, sdk: Any, where: str, text: str, seen: Seen) -> str:
    run = await sdk.runs.create(where, "agent", input=_input(text))
    seen.background.append((where, run["run_id"]))
    values = await sdk.runs.join(where, run["run_id"])
    return str(values["messages"][-1]["content"])


async def by_invoke(http: httpx.AsyncClient, _: Any, where: str, text: str, seen: Seen) -> str:
    body = {"graph": "agent", "thread_id": where, "input": _input(text)}
    values = (await http.post("/invoke", json=body)).raise_for_status().json()
    return str(values["messages"][-1]["content"])


_DOORS: list[tuple[str, tuple[str, Act]]] = [
    ("chat", ("session", by_chat)),
    ("chat stream", ("session", by_chat_stream)),
    ("runs/wait", ("thread", by_wait)),
    ("runs/stream", ("thread", by_stream)),
    ("background and join", ("thread", by_background)),
    ("invoke", ("thread", by_invoke)),
]


async def look(url: str, seen: Seen) -> int:
    """Compare what clients were told with what the stores hold."""
    lost, doubled = 0, 0
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        for thread, said in seen.said.items():
            state = (await http.get(f"/threads/{thread}/state")).raise_for_status().json()
            messages = state["values"]["messages"]
            held = Counter(m["content"] for m in messages if m["type"] == "human")
            asked = Counter(said)
            lost += sum((asked - held).values())
            doubled += sum((held - asked).values())
        status: Counter[str] = Counter()
        for thread, run in seen.background:
            status[(await http.get(f"/threads/{thread}/runs/{run}")).json()["status"]] += 1
    turns = sum(seen.turns.values())
    print(f"{turns} turns: " + ", ".join(f"{door} {n}" for door, n in seen.turns.items()))
    ordered = sorted(seen.seconds)
    print(
        f"seconds a turn: p50 {statistics.median(ordered):.2f}, "
        f"p95 {ordered[int(len(ordered) * 0.95)]:.2f}, slowest {ordered[-1]:.2f}"
    )
    print(f"runs of the background: {dict(status)}")
    print(
        f"errors that clients saw: {len(seen.errors)}; answered turns that the stores do not "
        f"hold: {lost}; turns that they hold once more: {doubled}"
    )
    for error in seen.errors[:20]:
        print("  ", error)
    return min(len(seen.errors) + lost + doubled + len(status.keys() - {"success"}), 1)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
