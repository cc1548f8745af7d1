"""What a process needs as it starts, idle, and with turns under way: memory, and processor time.

    python tests/bench/footprint.py [--turns 100] [--words 100] [--idle 20]

One process answers clients (EVERTURN_ROLE=api), another works (`everturn worker`), at one Redis and
one PostgreSQL; a provider of its own says a word every 30 ms. The requests and limits below
`deploy/kubernetes/base` come from here.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

from tests.checkpoints.stores import REDIS_URL, new_postgres_database, redis_store
from tests.service import ROOT, Process, Worker, killed, process

_PACE = ("--first-token", "0.5", "--between", "0.03")


class _Watched:
    """A process whose memory and processor time are read."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self._process = psutil.Process(pid)

    def spent(self) -> float:
        """Seconds of processor time so far."""
        times = self._process.cpu_times()
        return times.user + times.system

    def memory(self) -> float:
        """Megabytes that are resident."""
        return float(self._process.memory_info().rss) / 1e6

    async def during(self, what: str, work: Any, turns: int = 0) -> None:
        """Print what it needs while something goes on."""
        before, began, height = self.spent(), time.monotonic(), self.memory()
        going = asyncio.ensure_future(work)
        while not going.done():
            height = max(height, self.memory())
            await asyncio.sleep(0.05)
        going.result()
        used, took = self.spent() - before, time.monotonic() - began
        a_turn = f", {1000 * used / turns:5.1f} ms of it a turn" if turns else ""
        cores = f"{used:5.1f} s of a processor in {took:5.1f} s ({used / took:.3f})"
        print(f"{self.name:7} {what:24} {height:5.0f} MB  {cores}{a_turn}", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--idle", type=float, default=20)
    said = parser.parse_args()
    message = " ".join(["word"] * said.words)
    async with redis_store() as redis, new_postgres_database() as database:
        with ExitStack() as running:
            folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
            settings = {
                "REDIS_URL": REDIS_URL,
                "DATABASE_URL": database.render_as_string(hide_password=False),
                "EVERTURN_REDIS_PREFIX": redis.prefix,
                "EVERTURN_BASE_URL": _provider(running),
                "OPENAI_API_KEY": "sk-test",
                "EVERTURN_MODELS": "a-model",
                "EVERTURN_METRICS_PORT": "0",
            }
            _migrated(folder, settings)
            api = process(folder / "api", **settings, EVERTURN_ROLE="api")
            serving = running.enter_context(api)
            worker = running.enter_context(killed(Worker(folder / "worker", **settings)))
            url = await asyncio.to_thread(serving.url)
            await asyncio.to_thread(worker.says, "worker_ready")
            serves, works = (_watched(*each) for each in (("api", serving), ("worker", worker)))
            async with httpx.AsyncClient(base_url=url, timeout=120, limits=_ANY) as client:
                for each in (serves, works):
                    print(f"{each.name:7} started: {each.spent():.1f} s of a processor")
                    await each.during("idle", asyncio.sleep(said.idle))
                for _ in range(2):
                    streams = _all(lambda: _streamed(client, message), said.turns)
                    await serves.during(f"{said.turns} streams at once", streams, said.turns)
                for _ in range(2):
                    runs = _all(lambda: _posted(client, message), said.turns)
                    await works.during(f"{said.turns} runs at once", runs, said.turns)
                for each in (serves, works):
                    await each.during("idle again", asyncio.sleep(said.idle))


_ANY = httpx.Limits(max_connections=None)


def _watched(name: str, running: Process) -> _Watched:
    return _Watched(name, running.popen.pid)


async def _all(ask: Callable[[], Any], count: int) -> None:
    await asyncio.gather(*(ask() for _ in range(count)))


async def _streamed(client: httpx.AsyncClient, message: str) -> None:
    """A chat turn; what is refused on a busy machine comes again."""
    path, body = "/api/chat/message/stream", {"message": message}
    said: list[str] = []
    while "event: done" not in said:
        async with client.stream("POST", path, json=body) as response:
            said = [line async for line in response.aiter_lines()]
            if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                await asyncio.sleep(1)


async def _posted(client: httpx.AsyncClient, message: str) -> None:
    """A run of the background, until its end."""
    asked = {"messages": [{"role": "user", "content": message}]}
    body = {"assistant_id": "agent", "input": asked, "if_not_exists": "create"}
    thread = str(uuid4())
    posted = await client.post(f"/threads/{thread}/runs", json=body)
    assert posted.status_code == httpx.codes.OK, posted.text
    with suppress(httpx.RemoteProtocolError):  # it moved to another process, on a busy machine
        await client.get(f"/threads/{thread}/runs/{posted.json()['run_id']}/join")


def _migrated(folder: Path, settings: dict[str, str]) -> None:
    """Print what `everturn migrate` needs in an empty database."""
    command = [sys.executable, "-m", "everturn.server", "migrate", "--data-dir", str(folder)]
    began, height, spent = time.monotonic(), 0.0, 0.0
    with subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), **settings}) as running:
        watched = _Watched("migrate", running.pid)
        while running.poll() is None:
            try:
                height, spent = max(height, watched.memory()), watched.spent()
            except psutil.Error:
                break
            time.sleep(0.01)
    took = time.monotonic() - began
    print(f"migrate {height:29.0f} MB  {spent:5.1f} s of a processor in {took:5.1f} s", flush=True)


def _provider(running: ExitStack) -> str:
    command = [sys.executable, "-m", "tests.provider", "--port", "0", *_PACE]
    started = running.enter_context(
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    )
    running.callback(started.kill)
    assert started.stdout is not None
    return started.stdout.readline().strip()


if __name__ == "__main__":
    asyncio.run(main())
