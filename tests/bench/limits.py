"""What limits, budgets and guards cost a turn: the service without them, and with each of them on.

    python tests/bench/limits.py [--turns 300]

Prints milliseconds, and what each adds to the median. The services are processes of their own, with
their embedded Valkey, SQLite and the fake provider; they are asked in turn, so that what else the
machine does meets all of them alike.
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.provider import KEY, FakeProvider, Offer, Reply
from tests.service import Client, process

LIMITS = {
    "EVERTURN_RATE_LIMIT": "100000/minute;100000/day",
    "EVERTURN_REQUEST_LIMIT": "100000/minute",
}
BUDGETS = {
    "EVERTURN_BUDGET_RUN": "1000",
    "EVERTURN_BUDGET_THREAD": "1000",
    "EVERTURN_BUDGET_CALLER_DAY": "1000",
    "EVERTURN_BUDGET_DAY": "1000",
}
GUARDS = {"EVERTURN_GUARDS": "injection,pii,secrets", "EVERTURN_GUARD_DENY": "Project Bluebird"}
SERVICES = {
    "off": {},
    "limits": LIMITS,
    "budgets": BUDGETS,
    "guards": GUARDS,
    "all": {**LIMITS, **BUDGETS, **GUARDS},
}
QUESTION = "How do I write a test for a function that reads a file? " * 8
ANSWER = Reply("You give it a folder of its own, write the file there, and look. " * 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=300)
    turns = parser.parse_args().turns
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = stack.enter_context(FakeProvider())
        provider.offer(Offer("answers", prompt_price="0.000001", completion_price="0.000003"))
        provider.script("answers", ANSWER)
        clients = {}
        for name, settings in SERVICES.items():
            (folder / name).mkdir()
            running = stack.enter_context(
                process(
                    folder / name / "data",
                    EVERTURN_BASE_URL=provider.url,
                    OPENAI_API_KEY=KEY,
                    EVERTURN_MODELS="answers",
                    **settings,
                )
            )
            clients[name] = stack.enter_context(Client(running.url()))
        times: dict[str, list[float]] = {name: [] for name in clients}
        for turn in range(turns + 10):
            for name, client in clients.items():
                began = time.perf_counter()
                client.ask(QUESTION)
                if turn >= 10:
                    times[name].append((time.perf_counter() - began) * 1000)
    off = statistics.median(times["off"])
    print(f"{'milliseconds a turn':24}{'p50':>8}{'p95':>8}{'adds':>8}")
    for name, each in times.items():
        middle, p95 = statistics.median(each), statistics.quantiles(each, n=20)[-1]
        print(f"{name:24}{middle:8.2f}{p95:8.2f}{middle - off:8.2f}")


if __name__ == "__main__":
    main()
