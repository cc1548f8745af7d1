"""What plans and teams cost beside the models they ask: steps and specialists side by side.

    python tests/bench/planner.py [--turns 20]

A fake provider on loopback answers each step, or specialist, after 0.3 s, and the planning model at
once. Each graph runs by itself, with checkpoints in memory, and through the whole service over
HTTP, with checkpoints in its embedded Valkey.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import httpx
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import HttpUrl, SecretStr

from everturn.graph import agent, planner, team
from everturn.graph.models.provider import open_models
from everturn.graph.services import Services
from tests.graph.conftest import BareModelSettings
from tests.provider import KEY, FakeProvider, Reply, Request, ToolCall
from tests.service import process

STEP = 0.3
STEPS = 5
TEAM = ("mathematician", "forecaster", "researcher")

Turn = Callable[[], Awaitable[None]]


def answer(request: Request) -> Reply:
    """Plan, ask or answer as the words of the user say; a step takes its time."""
    words, last = request.messages[-1]["content"], request.messages[-1]["role"]
    if last == "tool":
        return Reply("done")
    if words == "plan":
        steps = [{"id": str(n), "text": f"step {n}"} for n in range(STEPS)]
        return Reply(tool_calls=[ToolCall("make_plan", {"steps": steps})])
    if words.startswith("ask "):
        names = TEAM[: int(words.removeprefix("ask "))]
        return Reply(tool_calls=[ToolCall(name, {"task": "do it"}) for name in names])
    return Reply("done") if words == "nothing" else Reply("done", first_token=STEP)


async def timed(turn: Turn, turns: int) -> list[float]:
    """Return the seconds of each turn, after two that warm up."""
    took = []
    for _ in range(turns + 2):
        began = time.perf_counter()
        await turn()
        took.append(time.perf_counter() - began)
    return took[2:]


def show(what: str, took: list[float]) -> None:
    """Print the middle and the slowest."""
    middle, worst = statistics.median(took), max(took)
    print(f"  {what:<42} {middle * 1000:7.0f} ms   slowest {worst * 1000:7.0f} ms", flush=True)


async def graphs_alone(provider: FakeProvider, turns: int) -> None:
    """Time the graphs without a server."""
    settings = BareModelSettings(
        base_url=HttpUrl(provider.url),
        openai_api_key=SecretStr(KEY),
        models=["m"],
    )
    async with open_models(settings) as models:

        def turn(graph: Any, words: str) -> Turn:
            kept = graph.copy({"checkpointer": InMemorySaver()})
            count = iter(range(10**6))

            async def run() -> None:
                services = {"__everturn": Services(models=models), "thread_id": str(next(count))}
                given = {"messages": [HumanMessage(words)]}
                done = await kept.ainvoke(given, {"configurable": services})
                assert done["messages"][-1].text == "done"

            return run

        print("graphs alone")
        for what, graph, words in CASES:
            show(what, await timed(turn(graph, words), turns))


async def whole_service(provider: FakeProvider, turns: int) -> None:
    """Time the same over HTTP."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "EVERTURN_BASE_URL": provider.url,
            "OPENAI_API_KEY": KEY,
            "EVERTURN_MODELS": "m",
            "LOG_LEVEL": "INFO",
        }
        with process(Path(folder) / "data", **environment) as service:
            async with httpx.AsyncClient(base_url=service.url(), timeout=60) as client:

                def turn(graph: Any, words: str) -> Turn:
                    async def run() -> None:
                        body = {"message": words, "agent": graph.name}
                        got = await client.post("/api/chat/message", json=body)
                        assert got.json()["response"] == "done", got.text

                    return run

                print("the service, over HTTP")
                for what, graph, words in CASES:
                    show(what, await timed(turn(graph, words), turns))


CASES: list[tuple[str, Any, str]] = [
    ("agent, one call of no length", agent.graph, "nothing"),
    (f"agent, one call of {STEP} s", agent.graph, "step"),
    (f"planner, {STEPS} independent steps of {STEP} s", planner.graph, "plan"),
    (f"team, one specialist of {STEP} s", team.graph, "ask 1"),
    (f"team, three specialists of {STEP} s", team.graph, "ask 3"),
]


async def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=20)
    turns = parser.parse_args().turns
    with FakeProvider() as provider:
        provider.script("m", answer)
        await graphs_alone(provider, turns)
        await whole_service(provider, turns)


if __name__ == "__main__":
    asyncio.run(main())
