"""What it costs to show what the service does: to take note, to put it together, to be watched.

    python tests/bench/now.py [--watchers 10] [--rounds 20]

CPU time of the process, which says the same beside other work. The service is a process of its own
that answers turns of the offline model, with and without watchers in turn.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from everturn.server.observe.now.counts import Counts, add, no_counts
from everturn.server.observe.now.others import NoOthers, Other
from everturn.server.observe.now.recorder import Recorder
from everturn.server.observe.now.watch import Now
from everturn.server.observe.now.window import STEP_SECONDS, STEPS, Step, Window
from everturn.server.turns.outcome import Call
from tests.service import Client, process

MODELS = [f"provider/model-{number}:free" for number in range(20)]
TOOLS = [f"tool_{number}" for number in range(30)]
SHOWN = {"run_id": "r", "status": "success", "seconds": 2.0, "first_token": 0.4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    notes()
    for processes in (1, 2, 8):
        asyncio.run(seconds_of(processes))
    watched(asked.watchers, asked.rounds)


def notes() -> None:
    """Take note of turns with three calls of models, and of calls of tools."""
    chance, recorder = random.Random(1), Recorder()
    calls = [
        Call(MODELS[0], "timeout", {"total_tokens": 100}, 0.001),
        *(Call(name, "", {"total_tokens": 1000}, 0.01) for name in MODELS[1:3]),
    ]
    names = (str, str)

    def turn() -> None:
        shown = {**SHOWN, "seconds": chance.expovariate(0.5), "first_token": chance.random()}
        recorder.turn_ended(shown, calls, None, names)

    def tool() -> None:
        recorder.tool_called(TOOLS[0], "success", chance.random())

    print(f"{'note of a turn, three calls of models':48}{best(turn):8.1f} µs")
    print(f"{'note of a call of a tool':48}{best(tool):8.1f} µs")


def best(work: Callable[[], object], times: int = 20_000) -> float:
    runs = []
    for _ in range(5):
        began = process_time()
        for _ in range(times):
            work()
        runs.append(process_time() - began)
    return min(runs) / times * 1e6


class Clock:
    """The time, as far as it has gone on."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def busy(clock: Clock, chance: random.Random) -> Recorder:
    """A process whose 15 minutes are full: 20 turns a second, 20 models, 30 tools."""
    recorder = Recorder(clock)
    began = clock.now
    for step in range(STEPS):
        for turn in range(200):
            clock.now = began + step * STEP_SECONDS + turn / 20
            seconds = chance.lognormvariate(0, 1.5)
            shown = {**SHOWN, "seconds": seconds, "first_token": seconds / 4}
            failed = "timeout" if chance.random() < 0.05 else ""
            call = Call(chance.choice(MODELS), failed, {"total_tokens": 1000}, 0.01)
            recorder.turn_ended(shown, [call], None, (str, str))
            recorder.tool_called(chance.choice(TOOLS), "success", chance.lognormvariate(-2, 1))
    return recorder


async def seconds_of(processes: int) -> None:
    """Put a busy second together."""
    chance, clock = random.Random(2), Clock()
    recorder = busy(clock, chance)

    async def health(called: Collection[str]) -> dict[str, Any]:
        said = {"circuit": "closed", "retry_after": None, "latency": 0.5, "failing": 0.1}
        return {"models": [{"name": each, **said} for each in called], "breakers": []}

    async def nothing() -> None: ...

    class Days:
        async def count(self, day: str, tokens: int, cost: int) -> tuple[int, int]:
            return tokens, cost

    now = Now(recorder, "own", Days(), health, lambda: None, nothing, lambda: True)
    about = {**await now.about(), "at": clock.now}
    of_others = no_counts()
    others = {
        f"other-{number}": Other(copied(recorder.window, of_others), about)
        for number in range(processes - 1)
    }

    class Known(NoOthers):
        shown = others
        sum = of_others

    now.others = Known()
    viewer, ticks = now._viewer(), list[bytes]()
    times, slices, ended = list[float](), [0.0], clock.now + 1
    parts = now._parts(about)
    for second in range(60):
        clock.now = ended + second
        for _turn in range(20):
            shown = {**SHOWN, "seconds": chance.lognormvariate(0, 1.5), "first_token": 0.3}
            recorder.turn_ended(shown, [Call(MODELS[0])], None, (str, str))
        began = process_time()
        parts = now._parts({**about, "at": clock.now})
        for _pause in now._picture.catch_up(parts, clock.now):
            slices.append(process_time() - began)
            began = process_time()
        tick = now._made(parts, clock.now, ())
        ticks.append(tick.tick(viewer))
        times.append(process_time() - began)
    name = f"a second of {processes} busy process{'es' if processes > 1 else ''}"
    began = process_time()
    whole = now._made(parts, clock.now, ()).now(viewer)
    first = process_time() - began
    middle, worst = statistics.median(times[1:]) * 1e3, max(times[1:]) * 1e3
    print(f"{name:48}{middle:8.2f} ms, the worst {worst:.2f}")
    pieces = f"{max(slices) * 1e3:.2f} ms at a time, {sum(slices) * 1e3:.0f} in all"
    print(f"{'  its lines at first':48}{pieces:>8}")
    sizes = f"{len(whole) / 1000:.0f} kB, {len(ticks[-1]) / 1000:.1f} kB a tick"
    print(f"{'  a whole look, encoded':48}{first * 1e3:8.2f} ms, {sizes}")


def copied(window: Window, total: Counts) -> Window:
    copy = Window(window.begun, total)
    for number, step in window.steps.items():
        again = Step(running=step.running, waiting=step.waiting)
        add(again.counts, step.counts)
        copy.put(number, again)
    return copy


def watched(watchers: int, rounds: int) -> None:
    """Serve turns with and without watchers."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(process(folder / "data", LOG_LEVEL="INFO"))
        client = stack.enter_context(Client(running.url()))
        serves = psutil.Process(running.popen.pid)

        def cpu() -> float:
            times = serves.cpu_times()
            return times.user + times.system

        def turns(seconds: float) -> tuple[float, float]:
            """CPU ms a turn, and turns a second."""
            until, before, count = perf_counter() + seconds, cpu(), 0
            while perf_counter() < until:
                client.ask("Compute 6*7")
                count += 1
            return (cpu() - before) / count * 1e3, count / seconds

        turns(3)
        alone, shown = [], []
        for _ in range(rounds):
            alone.append(turns(2))
            with watching(running.url_found, watchers):
                shown.append(turns(2))
        for name, each in (("nobody watches", alone), (f"{watchers} watch", shown)):
            spent, rate = (statistics.median(column) for column in zip(*each, strict=True))
            print(f"{'turns, ' + name:48}{spent:8.2f} ms CPU a turn, {rate:.0f} turns a second")
        more = [
            (there[0] / without[0] - 1) * 100 for without, there in zip(alone, shown, strict=True)
        ]
        low, _, high = statistics.quantiles(more, n=4)
        print(
            f"{'  which is more by':48}{statistics.median(more):8.2f} % ({low:.1f} to {high:.1f})"
        )
        before, began = cpu(), perf_counter()
        sleep(10)
        idle = (cpu() - before) / (perf_counter() - began)
        with watching(running.url_found, watchers):
            before, began = cpu(), perf_counter()
            sleep(20)
            spent = (cpu() - before) / (perf_counter() - began)
        share = (spent - idle) * 100
        print(f"{f'{watchers} watch, and nothing is done':48}{share:8.2f} % of a processor")


@contextmanager
def watching(url: str, watchers: int) -> Iterator[None]:
    """Read so many streams, in threads."""
    stop = threading.Event()

    def read() -> None:
        with (
            httpx.Client(base_url=url, timeout=60) as client,
            client.stream("GET", "/api/now/stream") as answer,
        ):
            for _ in answer.iter_raw():
                if stop.is_set():
                    return

    threads = [threading.Thread(target=read) for _ in range(watchers)]
    for thread in threads:
        thread.start()
    sleep(0.5)
    yield
    stop.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
