"""What the front door adds to a turn: auth, ownership, limits, logs and metrics, all on or all off.

    python tests/bench/front_door.py [--turns 400] [--profile PATH]

Two processes with an embedded Valkey and SQLite each are asked in turns, on kept connections, in
one run. Prints milliseconds of a turn, and of its processor time; the last column is what is
added. With `--profile` the one in which all is on writes what cProfile says of it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.service import ROOT, Client, Process, killed

ON = {
    "EVERTURN_AUTH": "on",
    "EVERTURN_RATE_LIMIT": "100000/minute",
    "EVERTURN_REQUEST_LIMIT": "100000/minute",
    "EVERTURN_MAX_RUNS_PER_CALLER": "10",
}
OFF = {"EVERTURN_AUTH": "off"}
NOTHING_COUNTED = """
from everturn.server.observe.metrics import Metrics
from everturn.server.runs import runs
runs.report_turn = Metrics.checkpoint_called = Metrics.tool_called = lambda *_, **__: None
"""
START = "from everturn.server.__main__ import main; main()"


class Seen(Process):
    """The service with all of it on."""

    command: tuple[str, ...] = (sys.executable, "-c", START, "serve", "--port", "0")


class Unseen(Process):
    """The service in which nothing of a turn is counted or logged."""

    command = (sys.executable, "-c", NOTHING_COUNTED + START, "serve", "--port", "0")


class Side:
    """One of the two, and what its turns took."""

    def __init__(self, running: Process, client: Client) -> None:
        self.client = client
        self._pid = running.popen.pid
        self.times: list[float] = []
        self.cpu = 0.0

    def turn(self, ask: Callable[[Client], None]) -> None:
        cpu, begun = self._cpu(), time.perf_counter()
        ask(self.client)
        self.times.append((time.perf_counter() - begun) * 1000)
        self.cpu += self._cpu() - cpu

    def _cpu(self) -> float:
        """Milliseconds of the process' processor time, by the scheduler's fine clock."""
        tasks = Path(f"/proc/{self._pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def chat(client: Client) -> None:
    client.post("/api/chat/message", json={"message": "Hello there"}).raise_for_status()


def wait(client: Client) -> None:
    body = {"assistant_id": "agent", "input": {"messages": "Hello there"}}
    client.post("/runs/wait", json=body).raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--profile")
    said = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        key = _key(folder / "on")
        if said.profile:
            profiled = ("-m", "cProfile", "-o", said.profile, "-m", "everturn.server", "serve")
            Seen.command = (sys.executable, *profiled, "--port", "0")
        on = stack.enter_context(killed(Seen(folder / "on", **ON)))
        off = stack.enter_context(killed(Unseen(folder / "off", **OFF)))
        sides = [Side(each, stack.enter_context(Client(each.url()))) for each in (on, off)]
        sides[0].client.headers["X-Api-Key"] = key
        print(f"{'milliseconds a turn':28}{'on':>8}{'off':>8}{'added':>8}")
        for name, ask in (("/api/chat/message", chat), ("/runs/wait", wait)):
            _compare(name, sides, ask, said.turns)
        on.stop()


def _compare(name: str, sides: list[Side], ask: Callable[[Client], None], turns: int) -> None:
    for side in sides:
        for _ in range(30):
            ask(side.client)
        side.times.clear()
        side.cpu = 0
    for number in range(turns):
        for side in sides if number % 2 else reversed(sides):
            side.turn(ask)
    _print(f"{name}, p50", *(statistics.median(side.times) for side in sides))
    _print(f"{name}, processor", *(side.cpu / turns for side in sides))


def _print(name: str, on: float, off: float) -> None:
    print(f"{name:28}{on:8.2f}{off:8.2f}{on - off:8.2f}", flush=True)


def _key(data_dir: Path) -> str:
    command = [sys.executable, "-m", "everturn.server", "keys", "create", "bench"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EVERTURN_DATA_DIR": str(data_dir)}
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return made.stdout.split()[0]


if __name__ == "__main__":
    main()
