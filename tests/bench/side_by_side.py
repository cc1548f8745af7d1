"""What the service adds to the time to the first token, while many streams are under way.

    python -m tests.bench.side_by_side [--streams 300] [--spread 12] [--auth]

A provider is asked first by the clients themselves, then through a service: a process with its
embedded Valkey and SQLite. Both times a stream begins every `spread / streams` seconds and takes
about 12 s, so that so many are under way; those that began before are not measured. With
`--spread 0` all begin at once. With `--auth` callers have a key, and all limits count.
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
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.checkpoints.redis.servers import free_ports
from tests.provider import KEY
from tests.service import ROOT, process

FIRST_TOKEN, BETWEEN, WORDS = 0.3, 0.25, 47
"""Seconds, seconds and pieces: about 12 s, as of a model that is not quick."""
LIMITS = {
    "EVERTURN_AUTH": "on",
    "EVERTURN_RATE_LIMIT": "100000/minute",
    "EVERTURN_REQUEST_LIMIT": "100000/minute",
    "EVERTURN_MAX_RUNS_PER_CALLER": "2000",
}


class Asked(NamedTuple):
    """A request, and how its first token looks."""

    url: str
    body: Mapping[str, Any]
    key: str
    first: bytes


class Seen(NamedTuple):
    """What became of streams."""

    firsts: list[float]
    ends: Counter[str]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--spread", type=float, default=12)
    parser.add_argument("--auth", action="store_true")
    said = parser.parse_args()
    text = "Say " + "on and " * (WORDS // 2)
    with provider() as url, tempfile.TemporaryDirectory() as folder:
        chat = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": True}
        direct = Asked(f"{url}/chat/completions", chat, KEY, b'"content": "')
        alone = await streams(direct, said.streams, said.spread)
        show("provider alone", alone)
        more = LIMITS if said.auth else {}
        settings = {"EVERTURN_BASE_URL": url, "OPENAI_API_KEY": KEY, "EVERTURN_MODELS": "m", **more}
        data = Path(folder) / "data"
        key = new_key(data) if said.auth else ""
        with process(data, **settings) as running:
            place = f"{running.url()}/api/chat/message/stream"
            through = Asked(place, {"message": text}, key, b"event: message")
            await stream(through)  # what is loaded at the first turn
            cpu, begun = seconds_of(running.popen.pid), time.monotonic()
            seen = await streams(through, said.streams, said.spread)
            busy = (seconds_of(running.popen.pid) - cpu) / (time.monotonic() - begun)
            show("through the service", seen)
            print(f"the service took {busy:.0%} of a processor")
    added = [after - before for before, after in zip(cuts(alone), cuts(seen), strict=True)]
    print("added: p50 {:.3f} s, p95 {:.3f} s, p99 {:.3f} s".format(*added), flush=True)


async def streams(asked: Asked, count: int, spread: float) -> Seen:
    """Begin streams at their pace; as many before them as take part, which are not measured."""
    before = count if spread else 0
    begun = asyncio.get_running_loop().time()

    async def one(number: int) -> tuple[float | None, str]:
        await asyncio.sleep(begun + number * spread / count - asyncio.get_running_loop().time())
        return await stream(asked)

    answers = await asyncio.gather(*(one(number) for number in range(before + count)))
    ends = Counter(end for _, end in answers)
    return Seen([first for first, _ in answers[before:] if first is not None], ends)


async def stream(asked: Asked) -> tuple[float | None, str]:
    """Read a stream to its end; seconds to its first token, and how it ended."""
    begun, first, last = time.monotonic(), None, ""
    try:
        async with answer(asked) as lines:
            if b" 200 " not in (head := await anext(lines)):
                return None, head.decode()
            async for line in lines:
                if first is None and asked.first in line:
                    first = time.monotonic() - begun
                if line.startswith(b"event: "):
                    last = line[7:].decode()
                elif line.startswith(b"data: [DONE]"):
                    last = "done"
    except OSError as error:
        return first, type(error).__name__
    return first, last


@asynccontextmanager
async def answer(asked: Asked) -> AsyncIterator[AsyncIterator[bytes]]:
    """POST a body, and yield the lines of the answer."""
    place, body = urlsplit(asked.url), json.dumps(asked.body).encode()
    head = [
        f"POST {place.path} HTTP/1.1",
        f"Host: {place.netloc}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {asked.key}"] if asked.key else []),
    ]
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write("\r\n".join([*head, "", ""]).encode() + body)

        async def lines() -> AsyncIterator[bytes]:
            while line := await reader.readline():
                yield line.rstrip()

        yield lines()
    finally:
        writer.transport.abort()


@contextmanager
def provider() -> Iterator[str]:
    """A provider as a process of its own, and its URL."""
    port = free_ports(1)[0]
    pace = ["--first-token", str(FIRST_TOKEN), "--between", str(BETWEEN)]
    command = [sys.executable, "-m", "tests.provider", "--port", str(port), *pace]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield running.stdout.readline().strip()
        finally:
            running.kill()


def new_key(data_dir: Path) -> str:
    """Make a key of the service that will run there."""
    command = [sys.executable, "-m", "everturn.server", "keys", "create", "bench"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EVERTURN_DATA_DIR": str(data_dir)}
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return made.stdout.split()[0]


def seconds_of(pid: int) -> float:
    """The processor time of a process."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def cuts(seen: Seen) -> tuple[float, float, float]:
    """The 50th, 95th and 99th percentile."""
    found = statistics.quantiles(seen.firsts, n=100)
    return found[49], found[94], found[98]


def show(name: str, seen: Seen) -> None:
    """Print times and ends."""
    times = "p50 {:.3f} s, p95 {:.3f} s, p99 {:.3f} s".format(*cuts(seen))
    print(f"{name:20} first token {times}; {dict(seen.ends)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
