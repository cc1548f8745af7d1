"""What tools cost: side by side, around each call, in the cache, and the calculator.

    python tests/bench/tools.py [--calls 500]

A call is timed inside a running graph: the node `tools` with one call in it, beside the bare
function. Redis is a server of the benchmark's own, on loopback. All figures are of one process.
"""

import argparse
import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[2]))

from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, tool
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from redis.asyncio import Redis

from everturn.checkpoints.shared.tool_cache import RedisResultStore
from everturn.graph.context import Context
from everturn.graph.nodes import tools as node
from everturn.graph.services import Services
from everturn.graph.state import State
from everturn.tools.kit.cache import ResultStore
from everturn.tools.kit.declare import declare
from everturn.tools.kit.discovery import Discovery
from everturn.tools.kit.settings import ToolSettings
from everturn.tools.kit.toolbox import Toolbox
from everturn.tools.providers.arithmetic import CalculationError, evaluate
from tests.checkpoints.redis.servers import redis_binary, serving, valkey_binary

Calls = list[tuple[str, dict[str, Any]]]

ORDINARY = ("2 + 2", "15% of 200", "sqrt(2) * (3 + 4) ^ 2", "round(19.99 * 1.21, 2)")
HOSTILE = (
    "9**9**9**9",
    "factorial(factorial(20))",
    "(" * 500 + "1" + ")" * 500,
    "pow(9,9**9)",
    "comb(10**9,10**8)",
    "__import__('os').system('id')",
    "9" * 100_000,
    "*".join(["(9**1000)"] * 60),
    "gcd(" + ",".join(["10**900-1"] * 80) + ")",
    "factorial(300)^3 % 7 " * 20,
)


@tool
async def nap(seconds: float) -> str:
    """Sleep."""
    await asyncio.sleep(seconds)
    return "napped"


@tool
def block(seconds: float) -> str:
    """Sleep and block."""
    time.sleep(seconds)
    return "blocked"


@tool
async def plain(text: str) -> str:
    """Say it again."""
    return text


@tool
def threaded(text: str) -> str:
    """Say it again, off the loop."""
    return text


@declare(cache=600)
@tool
async def kept(text: str) -> str:
    """Say it again, once."""
    return text


TOOLS: tuple[BaseTool, ...] = (nap, block, plain, threaded, kept)


class Rounds:
    """Times the node `tools` inside a graph."""

    def __init__(self, store: ResultStore | None = None) -> None:
        found = Discovery({each.name: each for each in TOOLS})
        self._box = Toolbox(found, settings=ToolSettings(), store=store)
        self._seconds = 0.0
        builder = StateGraph(State, Context)
        builder.add_node("tools", self._timed)
        builder.add_edge(START, "tools")
        self._graph = builder.compile()

    async def seconds(self, *calls: tuple[str, dict[str, Any]]) -> float:
        made = [
            {"name": name, "args": args, "id": f"c{n}", "type": "tool_call"}
            for n, (name, args) in enumerate(calls)
        ]
        state = cast("State", {"messages": [AIMessage("", tool_calls=made, id="asked")]})
        services = Services(models=cast("Any", None), tools=self._box)
        await self._graph.ainvoke(state, {"configurable": {"__everturn": services}})
        return self._seconds

    async def _timed(self, state: State, *, runtime: Runtime[Context]) -> Any:
        begun = time.perf_counter()
        update = await node.tools(state, runtime=runtime)
        self._seconds = time.perf_counter() - begun
        return update


async def measure(count: int) -> None:
    rounds = Rounds()
    three: Calls = [
        ("nap", {"seconds": 0.3}),
        ("block", {"seconds": 0.3}),
        ("nap", {"seconds": 0.3}),
    ]
    await rounds.seconds(("nap", {"seconds": 0}), ("block", {"seconds": 0}))
    together = [await rounds.seconds(*three) for _ in range(5)]
    alone = sum([await rounds.seconds(call) for call in three])
    print(f"three tools of 0.3 s, side by side      {statistics.median(together):8.3f} s")
    print(f"  the same, one after the other         {alone:8.3f} s")
    print(f"{'milliseconds a call':40}{'p50':>8}{'p95':>8}")
    bare = cast("Callable[..., Awaitable[str]]", plain.coroutine)  # type: ignore[attr-defined]
    await show("the bare function", count, lambda: timed(bare("x")))
    await show("the same as a tool", count, lambda: rounds.seconds(("plain", {"text": "x"})))
    await show("a synchronous tool", count, lambda: rounds.seconds(("threaded", {"text": "x"})))
    ten: Calls = [("plain", {"text": "x"})] * 10
    await show("ten calls in one turn, each", count, lambda: rounds.seconds(*ten), 10)
    await show("a hit, in process", count, lambda: rounds.seconds(("kept", {"text": "x"})))
    binary = redis_binary() or valkey_binary()
    if binary is None:
        print("a hit, in Redis: left out, no server is installed")
        return
    with serving(binary) as server:
        async with Redis.from_url(server.url) as redis:
            shared = Rounds(RedisResultStore(redis))
            await show("a hit, in Redis", count, lambda: shared.seconds(("kept", {"text": "x"})))


async def timed(work: Awaitable[Any]) -> float:
    begun = time.perf_counter()
    await work
    return time.perf_counter() - begun


async def show(name: str, count: int, once: Callable[[], Awaitable[float]], share: int = 1) -> None:
    for _ in range(20):
        await once()
    gc.collect()
    times = [await once() * 1000 / share for _ in range(count)]
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"{name:40}{statistics.median(times):8.3f}{p95:8.3f}")


def calculate(count: int) -> None:
    for expression in ORDINARY:
        times = []
        for _ in range(count):
            begun = time.perf_counter()
            evaluate(expression)
            times.append((time.perf_counter() - begun) * 1000)
        p95 = statistics.quantiles(times, n=20)[-1]
        print(f"{'calculator: ' + expression:40}{statistics.median(times):8.3f}{p95:8.3f}")
    slowest = max((_refusal(expression), expression) for expression in HOSTILE)
    print(f"{'calculator: the slowest hostile one':40}{slowest[0]:8.3f}  {slowest[1][:40]}")


def _refusal(expression: str) -> float:
    begun = time.perf_counter()
    with suppress(CalculationError):
        evaluate(expression)
    return (time.perf_counter() - begun) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    count = parser.parse_args().calls
    try:
        import uvloop

        uvloop.run(measure(count))
    except ModuleNotFoundError:  # Windows
        asyncio.run(measure(count))
    calculate(count)


if __name__ == "__main__":
    main()
