"""Two workers against one: turns a second of clients that ask side by side, on the same machine.

    python tests/bench/workers.py [--clients 32] [--seconds 5] [--rounds 3]

Both services are up all the time and asked in turns, so that what else the machine does meets both.
Beside the rates it prints what a turn costs in processor time: of the service, of its Valkey, and
of the clients, which have the same processors.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from tests.service import ROOT, process
from tests.waiting import eventually_sync

_TICKS = os.sysconf("SC_CLK_TCK")
_BODY = {"assistant_id": "toy", "input": {"words": "one two three four five"}}
_ASKED = {
    "/runs/wait": _BODY,
    "/runs/stream": {**_BODY, "stream_mode": ["values", "messages-tuple"]},
}


class _Service:
    """One service, and what it has used."""

    def __init__(self, running: ExitStack, folder: Path, workers: int) -> None:
        folder.mkdir()
        config = folder / "langgraph.json"
        config.write_text(
            json.dumps({"graphs": {"toy": f"{ROOT}/tests/server/toy_graph.py:graph"}})
        )
        arguments = ("--workers", str(workers))
        service = process(folder / "data", *arguments, EVERTURN_CONFIG=str(config))
        started = running.enter_context(service)
        self.workers = workers
        self.url = started.url()
        if workers > 1:
            eventually_sync(lambda: sum("worker_ready" in line for line in started.log) == workers)
        self._pid = started.popen.pid

    def used(self) -> tuple[float, float]:
        """Seconds of processor time so far: of the service, and of its Valkey."""
        service = valkey = 0.0
        for pid in (self._pid, *_children(self._pid)):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used = (int(stat[11]) + int(stat[12])) / _TICKS
            if "valkey" in Path(f"/proc/{pid}/comm").read_text():
                valkey += used
            else:
                service += used
        return service, valkey


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    said = parser.parse_args()
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        services = [_Service(running, folder / str(n), n) for n in (1, 2)]
        for path in _ASKED:
            for service in services:
                await _asked(service.url, path, said.clients, 1)  # what is loaded at first
            rates: dict[int, list[float]] = {1: [], 2: []}
            costs: dict[int, list[Sequence[float]]] = {1: [], 2: []}
            for _ in range(said.rounds):
                for service in services:
                    before, began = service.used(), time.process_time()
                    turns = await _asked(service.url, path, said.clients, said.seconds)
                    used = (*service.used(), time.process_time())
                    spent = [a - b for a, b in zip(used, (*before, began), strict=True)]
                    rates[service.workers].append(turns / said.seconds)
                    costs[service.workers].append([1000 * each / turns for each in spent])
            print(f"{path}, {said.clients} side by side")
            for count in (1, 2):
                cost = [statistics.median(each) for each in zip(*costs[count], strict=True)]
                print(
                    f"  {count} worker(s) {statistics.median(rates[count]):7.1f} turns/s   a turn: "
                    "service {:.2f} ms, Valkey {:.2f} ms, client {:.2f} ms".format(*cost)
                )
            ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
            print(f"  2 against 1: {statistics.median(ratios):.2f} x", flush=True)


async def _asked(url: str, path: str, clients: int, seconds: float) -> int:
    """Ask with so many clients for so long; returns how many turns were answered."""
    end = time.monotonic() + seconds
    counts = await asyncio.gather(*(_client(url, path, end) for _ in range(clients)))
    return sum(counts)


async def _client(url: str, path: str, end: float) -> int:
    place = urlsplit(url)
    body = json.dumps(_ASKED[path]).encode()
    asked = (
        f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    count = 0
    while time.monotonic() < end:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for _ in range(500):  # on one connection
            writer.write(asked)
            await _read_answer(reader)
            count += 1
            if time.monotonic() > end:
                break
        writer.transport.abort()
    return count


async def _read_answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    name = b"content-length: "
    if (found := head.find(name)) >= 0:
        await reader.readexactly(int(head[found + len(name) :].split(b"\r\n", 1)[0]))
        return
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _children(int(child))


if __name__ == "__main__":
    asyncio.run(main())
