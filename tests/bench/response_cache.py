"""What an answer from the response cache takes over HTTP, beside one of the offline model.

    python tests/bench/response_cache.py [--turns 500]

Prints milliseconds, and the processor's, which says more beside other work: of the service, its
stores left out. The service is a process of its own with its embedded Valkey and SQLite, the
provider a fake one in this process, which is asked once for each row.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.provider import KEY, FakeProvider, Reply
from tests.service import Client, Process, process

TARGET = 3.0
ANSWER = "An answer of some sentences, as models give them. " * 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=500)
    turns = parser.parse_args().turns
    print(f"{'milliseconds a turn':40}{'p50':>8}{'p95':>8}{'cpu':>8}")
    with FakeProvider() as provider, tempfile.TemporaryDirectory() as folder:
        provider.script("model-a", Reply(ANSWER))
        environment = {
            "EVERTURN_BASE_URL": provider.url,
            "OPENAI_API_KEY": KEY,
            "EVERTURN_MODELS": "model-a",
        }
        with process(Path(folder) / "data", **environment) as running, _client(running) as client:
            pid = running.popen.pid
            for name, turn in _ways(client, cache=3600).items():
                asked = provider.calls("model-a")
                _print(f"from the cache, {name}", _times(turn, turns, pid))
                assert provider.calls("model-a") - asked <= 1, "not from the cache"
            name, turn = next(iter(_ways(client, cache=False).items()))
            _print(f"from the provider, {name}", _times(turn, turns // 5, pid))
    with (
        tempfile.TemporaryDirectory() as folder,
        process(Path(folder) / "data") as running,
        _client(running) as client,
    ):
        for name, turn in _ways(client, cache=False).items():
            _print(f"offline, {name}", _times(turn, turns, running.popen.pid))
    print(f"target: {TARGET:g} ms p50 from the cache")


def _client(running: Process) -> Client:
    return Client(running.url())


def _ways(client: Client, cache: float | bool) -> dict[str, Callable[[], object]]:
    message: dict[str, Any] = {"message": "Hello there", "cache": cache}
    invoke = {"input": {"messages": "Hello there"}, "context": {"cache": cache}}
    return {
        "/invoke, no thread": lambda: _posted(client, "/invoke", invoke),
        "/api/chat/message": lambda: _posted(client, "/api/chat/message", message),
        "/api/chat/message/stream": lambda: client.events("/api/chat/message/stream", message),
    }


def _posted(client: Client, path: str, body: dict[str, Any]) -> None:
    client.post(path, json=body).raise_for_status()


def _times(turn: Callable[[], object], turns: int, pid: int) -> tuple[list[float], float]:
    """Return the milliseconds of each turn, and the processor's of one."""
    for _ in range(20):
        turn()
    times, before = [], _cpu(pid)
    for _ in range(turns):
        begun = time.perf_counter()
        turn()
        times.append((time.perf_counter() - begun) * 1000)
    return times, (_cpu(pid) - before) / turns


def _cpu(pid: int) -> float:
    """Milliseconds that a process has had so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1000


def _print(name: str, measured: tuple[list[float], float]) -> None:
    times, cpu = measured
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"{name:40}{statistics.median(times):8.2f}{p95:8.2f}{cpu:8.2f}")


if __name__ == "__main__":
    main()
