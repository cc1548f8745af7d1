"""What a turn of 20 tokens through a real HTTP provider costs the service, in CPU time.

    python tests/bench/provider.py [CHECKOUT …] [--rounds 5] [--side-by-side 16] [--between 0.05]

Each checkout, this one where none is named, is served by a process of its own; all ask one provider
in the process of this script and take turns in one run, so that their figures can be compared.
Prints milliseconds of the service's process, user and system, a turn: the median of the rounds.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.agent_server import Connection, _await_port, run  # noqa: E402 - by the line above
from tests.checkpoints.redis.servers import free_ports  # noqa: E402
from tests.provider import KEY, FakeProvider, Reply  # noqa: E402

QUESTION = "Count to ten, twice."
ANSWER = " ".join(["one two three four five six seven eight nine ten"] * 2)
RUN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": QUESTION}]}}
DOORS: dict[str, dict[str, Any]] = {
    "/api/chat/message/stream": {"message": QUESTION},
    "/runs/stream": {**RUN, "stream_mode": ["messages-tuple"]},
    "/runs/wait": RUN,
}


@contextmanager
def served(
    checkout: Path, folder: Path, provider: FakeProvider
) -> Iterator[tuple[int, psutil.Process]]:
    """Serve a checkout; yield its port and its process."""
    folder.mkdir()
    port = free_ports(1)[0]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("EVERTURN_", "LANG"))}
    own = {
        "PYTHONPATH": str(checkout),
        "EVERTURN_CONFIG": str(checkout / "langgraph.json"),
        "EVERTURN_DATA_DIR": str(folder / "data"),
        "EVERTURN_BASE_URL": provider.url,
        "EVERTURN_MODELS": "small",
        "OPENAI_API_KEY": KEY,
        "EVERTURN_TOOLS_OFFLINE": "always",
    }
    command = [sys.executable, "-m", "everturn.server", "serve", "--port", str(port)]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**clean, **own}, stdout=output, stderr=output
        )
    try:
        _await_port(port, process, log)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


async def turns(port: int, path: str, count: int, side_by_side: int) -> None:
    """Carry out this many turns, and read each to its end."""
    left = count

    async def client() -> None:
        nonlocal left
        connection = await Connection(port).open()
        while left > 0:
            left -= 1
            parts: list[bytes] = []
            await connection.post(path, DOORS[path], parts.append)
            if b"ten" not in b"".join(parts):
                raise RuntimeError(b"".join(parts).decode())
        connection.close()

    await asyncio.gather(*(client() for _ in range(side_by_side)))


async def cost(service: tuple[int, psutil.Process], path: str, count: int, width: int) -> float:
    """CPU time of a turn, in milliseconds."""
    port, process = service
    before = process.cpu_times()
    await turns(port, path, count, width)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / count * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkouts", nargs="*", type=Path, default=[ROOT])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=96, help="of one round")
    parser.add_argument("--side-by-side", type=int, default=16)
    parser.add_argument("--between", type=float, default=0.05, help="seconds between two tokens")
    parser.add_argument("--doors", nargs="*", choices=DOORS, default=list(DOORS))
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ev-")))
        provider = stack.enter_context(FakeProvider())
        provider.script("small", Reply(ANSWER, between=options.between))
        checkouts = [checkout.resolve() for checkout in options.checkouts]
        services = [
            stack.enter_context(served(checkout, folder / str(number), provider))
            for number, checkout in enumerate(checkouts)
        ]
        print("| CPU ms a turn | " + " | ".join(map(str, checkouts)) + " |", flush=True)
        print("|---|" + "---|" * len(checkouts))
        for path in options.doors:
            costs: list[list[float]] = [[] for _ in services]
            for number in range(options.rounds + 1):
                for service, found in zip(services, costs, strict=True):
                    provider.requests.clear()
                    each = run(cost(service, path, options.turns, options.side_by_side))
                    if number:  # the first round warms up
                        found.append(each)
            medians = [statistics.median(found) for found in costs]
            cells = [f"{each:.2f} ({each / medians[0]:.0%})" for each in medians]
            print(f"| {path} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
