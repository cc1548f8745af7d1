"""What the service does under load: streams that begin at once, and clients that stop reading.

    python tests/bench/load.py [--streams 300 1000] [--stalled 200] [--busy 0]

Each case has a service of its own: a process with its embedded Valkey and SQLite, which asks a
model over HTTP. Prints seconds to the first token, how the streams ended, and the memory (MB) of
the service and of its Valkey: before, at the height, and when the clients have gone. `--busy`
starts so many loops that take the processors away.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.service import ROOT, process

_AFTER_SECONDS = 30
_TALK = {"pieces": 200, "size": 40_000, "pause": 0.001}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="*", default=[300, 1000])
    parser.add_argument("--stalled", type=int, nargs="*", default=[200])
    parser.add_argument("--busy", type=int, default=0)
    said = parser.parse_args()
    with ExitStack() as running:
        for _ in range(said.busy):
            loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            running.callback(loop.kill)
        for count in said.streams:
            async with _Case(f"{count} streams that begin at once") as case:
                await case.streams(count)
        for count in said.stalled:
            async with _Case(f"{count} clients that stop reading") as case:
                await case.stalled(count)


class _Case:
    """One service, and what is measured of it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running = ExitStack()
        self._memory: dict[int, list[float]] = {}
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        print(f"\n{self._name}", flush=True)
        folder = Path(self._running.enter_context(tempfile.TemporaryDirectory()))
        graphs = {
            "agent": f"{ROOT}/graph/agent.py:graph",
            "talk": f"{ROOT}/tests/server/talking_graph.py:graph",
        }
        (folder / "langgraph.json").write_text(json.dumps({"graphs": graphs}))
        self._service = self._running.enter_context(
            process(
                folder / "data",
                EVERTURN_CONFIG=str(folder / "langgraph.json"),
                EVERTURN_BASE_URL=self._running.enter_context(_provider()),
                OPENAI_API_KEY="sk-test",
                EVERTURN_MODELS="a-model",
            )
        )
        self._url = await asyncio.to_thread(self._service.url)
        await self._stream({"message": "Hello"})  # what is loaded at the first turn
        self._watching = asyncio.create_task(self._watch())
        await asyncio.sleep(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(_AFTER_SECONDS)
        if self._watching:
            self._watching.cancel()
        for pid, seen in self._memory.items():
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            print(
                f"  memory of {name:16} before {seen[0]:6.0f}  height {max(seen):6.0f}"
                f"  after {_AFTER_SECONDS} s {seen[-1]:6.0f}"
            )
        warnings = Counter(
            json.loads(line).get("event") for line in self._service.log if '"warning"' in line
        )
        if warnings:
            print("  warnings", dict(warnings))
        self._running.close()

    async def streams(self, count: int) -> None:
        """Ask for so many at once, and read them all."""
        began = time.monotonic()
        asked = [self._stream({"message": f"Say it, {number}"}) for number in range(count)]
        answers = await asyncio.gather(*asked)
        took = time.monotonic() - began
        firsts = sorted(first for first, _ in answers if first is not None)
        _print_times("first token", firsts)
        ends = dict(Counter(end for _, end in answers))
        print(f"  ended after {took:.1f} s: {ends}", flush=True)

    async def stalled(self, count: int) -> None:
        """Have so many clients stop reading in the middle, and ask as others meanwhile."""
        body = {"assistant_id": "talk", "input": _TALK, "stream_mode": ["custom"]}
        sockets = [_stalled(self._url, "/runs/stream", body) for _ in range(count)]
        times, failed = [], Counter[str]()
        end = time.monotonic() + 45
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                async with asyncio.timeout(30):
                    _, how = await self._stream({"message": "And the others?"})
            except (TimeoutError, OSError) as error:
                how = type(error).__name__
            if how == "done":
                times.append(time.monotonic() - began)
            else:
                failed[how] += 1
            await asyncio.sleep(0.2)
        _print_times("turns of others", times)
        print(f"  without an answer: {dict(failed)}", flush=True)
        for each in sockets:
            each.close()

    async def _stream(self, body: Mapping[str, Any]) -> tuple[float | None, str]:
        """Stream a turn; seconds to its first token, and how it ended."""
        began, first, last = time.monotonic(), None, "nothing"
        try:
            async with _asked(self._url, "/api/chat/message/stream", body) as lines:
                status = (await anext(lines)).split()[1].decode()
                if status != "200":
                    return None, status
                async for line in lines:
                    if line.startswith(b"event: "):
                        last = line[7:].decode()
                        if last == "message" and first is None:
                            first = time.monotonic() - began
                    elif line.startswith(b"data: ") and last in {"error", "done"}:
                        said = json.loads(line[6:])
                        if last == "error":
                            last = f"error: {said.get('type')}"
                        elif said["route"]["mode"] != "primary":
                            tried = [each.get("failure") for each in said["route"]["tried"]]
                            last = f"done, {said['route']['mode']} after {tried}"
        except (OSError, StopAsyncIteration) as error:
            last = type(error).__name__
        return first, last

    async def _watch(self) -> None:
        while True:
            for pid in (self._service.popen.pid, *_children(self._service.popen.pid)):
                if memory := _memory(pid):
                    self._memory.setdefault(pid, []).append(memory)
            await asyncio.sleep(0.2)


@asynccontextmanager
async def _asked(
    url: str, path: str, body: Mapping[str, Any]
) -> AsyncIterator[AsyncIterator[bytes]]:
    """POST a body, and yield the lines of the answer."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(_request(url, path, body))

        async def lines() -> AsyncIterator[bytes]:
            while line := await reader.readline():
                yield line.rstrip()

        yield lines()
    finally:
        writer.transport.abort()


def _stalled(url: str, path: str, body: Mapping[str, Any]) -> socket.socket:
    """Ask for a stream, and never read it."""
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    place = urlsplit(url)
    asking.connect((place.hostname, place.port))
    asking.sendall(_request(url, path, body))
    return asking


def _request(url: str, path: str, body: Mapping[str, Any]) -> bytes:
    sent = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nConnection: close\r\n"
    return (
        f"{head}Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n".encode()
        + sent
    )


@contextmanager
def _provider() -> Iterator[str]:
    """A provider as a process of its own, and its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.provider", "--port", str(port)]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        running.kill()
        running.wait()


def _children(pid: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _memory(pid: int) -> float:
    """Resident megabytes."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _print_times(name: str, times: list[float]) -> None:
    if len(times) < 2:
        print(f"  {name}: {len(times)}")
        return
    cuts = statistics.quantiles(times, n=20)
    print(f"  {name}: {len(times)}, p50 {statistics.median(times):.2f} s, p95 {cuts[-1]:.2f} s")


if __name__ == "__main__":
    asyncio.run(main())
