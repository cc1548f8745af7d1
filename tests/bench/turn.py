"""What a turn costs: over HTTP with memory and history, beside the same graph in this process.

    python tests/bench/turn.py [--turns 300]

Prints milliseconds. Both run the offline model on the same questions, one after the other; the
service is a process of its own with its embedded Valkey and SQLite.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from langchain_core.messages import HumanMessage

from everturn.graph.agent import graph
from everturn.graph.state import Input
from tests.service import Client, process

QUESTIONS = {"a word": "Hello there", "a tool": "Calculate 10 * 20"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=300)
    turns = parser.parse_args().turns
    print(f"{'milliseconds a turn':32}{'p50':>8}{'p95':>8}")
    with tempfile.TemporaryDirectory() as folder, process(Path(folder) / "data") as running:
        url = running.url()
        with Client(url) as client:
            for name, question in QUESTIONS.items():
                _print(f"{name}, graph in process", _in_process(question, turns))
                for path, turn in _ways(client, question).items():
                    _print(f"{name}, {path}", _times(turn, turns))
            session = client.ask("Hello")["session_id"]
            _print(
                "a word, in one growing session",
                _times(lambda: client.ask("Hello there", session), turns),
            )


def _ways(client: Client, question: str) -> dict[str, Callable[[], object]]:
    message, stream = "/api/chat/message", "/api/chat/message/stream"
    body = {"message": question}
    invoke = {"input": {"messages": question}}
    return {
        "/api/chat/message": lambda: client.ask(question),
        "…with a key": lambda: client.post(message, json=body, headers=_key()),
        "…/stream": lambda: client.events(stream, {"message": question}),
        "/invoke, no thread": lambda: client.post("/invoke", json=invoke),
        "…with a key, no thread": lambda: client.post("/invoke", json=invoke, headers=_key()),
    }


def _key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def _times(turn: Callable[[], object], turns: int) -> list[float]:
    for _ in range(10):
        turn()
    times = []
    for _ in range(turns):
        begun = time.perf_counter()
        turn()
        times.append((time.perf_counter() - begun) * 1000)
    return times


def _in_process(question: str, turns: int) -> list[float]:
    async def run() -> list[float]:
        times = []
        for _ in range(turns + 10):
            begun = time.perf_counter()
            await graph.ainvoke(Input(messages=[HumanMessage(question)]))
            times.append((time.perf_counter() - begun) * 1000)
        return times[10:]

    return asyncio.run(run())


def _print(name: str, times: list[float]) -> None:
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"{name:32}{statistics.median(times):8.2f}{p95:8.2f}")


if __name__ == "__main__":
    main()
