"""The ways to fall back that `tests/bench/fallback.py` compares, each behind the same two methods.

    python tests/bench/fallback_contestants.py NAME TASK URL [--requests N]

Runs one task in this process and prints what came of it as JSON. A contestant is imported only when
it is asked for, so that each can run in an environment of its own.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).parents[2]))

MODELS = ["model-a", "model-b", "model-c"]
KEY = "sk-test"  # tests.provider.KEY, which peers cannot import in environments of their own
FIRST_TOKEN, STALL, HEDGE = 1.0, 0.5, 0.4  # s, for those that can be told
DEADLINE = 10.0  # s a request has
SIDE_BY_SIDE = 30
WORDS = " ".join(f"word{number}" for number in range(13))


class Contestant(Protocol):
    """Asks the first of three models that answers."""

    async def invoke(self, text: str) -> str:
        """Return the answer."""
        ...

    async def stream(self, text: str) -> str:
        """Return what a client has on its screen at the end of the stream."""
        ...


# The contestants


class Everturn:
    def __init__(self, graph: Any, config: Any) -> None:
        self._graph, self._config = graph, config

    async def invoke(self, text: str) -> str:
        done = await self._graph.ainvoke({"messages": [("user", text)]}, self._config)
        return str(done["messages"][-1].text)

    async def stream(self, text: str) -> str:
        shown: dict[str, str] = {}
        async for mode, data in self._graph.astream(
            {"messages": [("user", text)]}, self._config, stream_mode=["messages", "custom"]
        ):
            if mode == "messages":
                shown[data[0].id] = shown.get(data[0].id, "") + data[0].text
            elif data["type"] == "reset":
                shown.pop(data["message_id"], None)
        return "".join(shown.values())


@asynccontextmanager
async def everturn(url: str, hedge_after: float | None = None) -> AsyncIterator[Contestant]:
    import structlog

    from everturn.graph.agent import graph
    from everturn.graph.models.provider import open_models
    from everturn.graph.models.settings import ModelSettings

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    settings = ModelSettings.model_validate(
        {
            "base_url": url,
            "models": MODELS,
            "openai_api_key": KEY,
            "first_token_timeout": FIRST_TOKEN,
            "stall_timeout": STALL,
            "turn_timeout": DEADLINE,
            "hedge_after": hedge_after,
        }
    )
    async with open_models(settings) as models:
        yield Everturn(graph, {"configurable": {"__everturn": {"models": models}}})


def everturn_hedged(url: str) -> AbstractAsyncContextManager[Contestant]:
    return everturn(url, HEDGE)


class Chain:
    """`Runnable.with_fallbacks`."""

    def __init__(self, chat: Any) -> None:
        self._chat = chat

    async def invoke(self, text: str) -> str:
        return str((await self._chat.ainvoke(text)).text)

    async def stream(self, text: str) -> str:
        return "".join([chunk.text async for chunk in self._chat.astream(text)])


@asynccontextmanager
async def with_fallbacks(url: str) -> AsyncIterator[Contestant]:
    first, *others = _chats(url)
    yield Chain(first.with_fallbacks(others))


@asynccontextmanager
async def with_fallbacks_tuned(url: str) -> AsyncIterator[Contestant]:
    first, *others = _chats(url, tuned=True)
    yield Chain(first.with_fallbacks(others))


class Agent:
    """LangChain's agent with its middleware."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    async def invoke(self, text: str) -> str:
        done = await self._agent.ainvoke({"messages": [("user", text)]})
        return str(done["messages"][-1].text)

    async def stream(self, text: str) -> str:
        pieces = self._agent.astream({"messages": [("user", text)]}, stream_mode="messages")
        return "".join([message.text async for message, _ in pieces])


@asynccontextmanager
async def agent(url: str, *, tuned: bool = False) -> AsyncIterator[Contestant]:
    from langchain.agents import create_agent  # type: ignore[import-not-found]  # a peer's own
    from langchain.agents.middleware import (  # type: ignore[import-not-found]  # as above
        ModelFallbackMiddleware,
        ModelRetryMiddleware,
    )

    first, *others = _chats(url, tuned=tuned)
    middleware = [ModelFallbackMiddleware(*others)]
    if tuned:  # all of them, up to three times
        again = ModelRetryMiddleware(max_retries=2, initial_delay=0.05, on_failure="error")
        middleware.insert(0, again)
    yield Agent(create_agent(first, _tools(), middleware=middleware))


def agent_tuned(url: str) -> AbstractAsyncContextManager[Contestant]:
    return agent(url, tuned=True)


class PydanticAI:
    def __init__(self, agent: Any) -> None:
        self._agent = agent

    async def invoke(self, text: str) -> str:
        return str((await self._agent.run(text)).output)

    async def stream(self, text: str) -> str:
        async with self._agent.run_stream(text) as result:
            return "".join([piece async for piece in result.stream_text(delta=True)])


@asynccontextmanager
async def pydantic_ai(url: str) -> AsyncIterator[Contestant]:
    from pydantic_ai import Agent as Their  # type: ignore[import-not-found]  # a peer's own
    from pydantic_ai.models.fallback import FallbackModel  # type: ignore[import-not-found]
    from pydantic_ai.models.openai import OpenAIChatModel  # type: ignore[import-not-found]
    from pydantic_ai.providers.openai import OpenAIProvider  # type: ignore[import-not-found]

    provider = OpenAIProvider(base_url=url, api_key=KEY)
    models = [OpenAIChatModel(name, provider=provider) for name in MODELS]
    yield PydanticAI(Their(FallbackModel(*models)))


def _chats(url: str, *, tuned: bool = False) -> list[Any]:
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    deadlines: dict[str, Any] = (
        {"max_retries": 0, "timeout": FIRST_TOKEN, "stream_chunk_timeout": STALL} if tuned else {}
    )
    key = SecretStr(KEY)
    return [ChatOpenAI(model=name, base_url=url, api_key=key, **deadlines) for name in MODELS]


def _tools() -> list[Any]:
    """As many tools as ours brings: their schemas travel with each call."""
    from langchain_core.tools import tool

    def calculator(expression: str) -> str:
        """Compute an arithmetic expression with the functions that a pocket calculator has."""
        return expression

    def weather(location: str, days: int = 1) -> str:
        """Tell the weather of a place, today or for the next days."""
        return f"{location} {days}"

    def search(query: str, count: int = 5) -> str:
        """Search the web and return the best results, with their titles and addresses."""
        return f"{query} {count}"

    return [tool(each) for each in (calculator, weather, search)]


CONTESTANTS: dict[str, Callable[[str], AbstractAsyncContextManager[Contestant]]] = {
    "everturn": everturn,
    "everturn hedged": everturn_hedged,
    "with_fallbacks": with_fallbacks,
    "with_fallbacks tuned": with_fallbacks_tuned,
    "agent + fallback": agent,
    "agent + fallback + retry tuned": agent_tuned,
    "pydantic-ai FallbackModel": pydantic_ai,
}


# The tasks


async def chaos(ask: Callable[[str], Any], requests: int) -> dict[str, Any]:
    """Many requests, some at a time: how many were answered right, and how soon."""
    turn = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(number: int) -> tuple[bool, float]:
        text = f"request {number} of many: {WORDS}"
        async with turn:
            begun = time.perf_counter()
            try:
                async with asyncio.timeout(DEADLINE):
                    right = await ask(text) == f"You said: {text}"
            except Exception:
                right = False
            return right, time.perf_counter() - begun

    results = await asyncio.gather(*map(one, range(requests)))
    times = sorted(seconds for _, seconds in results)
    return {"right": sum(right for right, _ in results), "p95": times[int(len(times) * 0.95) - 1]}


async def one_after_the_other(ask: Callable[[str], Any], requests: int) -> dict[str, Any]:
    """Seconds of each request, and what became of it."""
    times, ends = [], []
    for _ in range(requests):
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(DEADLINE):
                ends.append("right" if await ask(WORDS) == f"You said: {WORDS}" else "wrong")
        except Exception as error:
            ends.append(type(error).__name__)
        times.append(time.perf_counter() - begun)
    return {"seconds": times, "ends": ends}


async def cpu(ask: Callable[[str], Any], requests: int) -> dict[str, Any]:
    """CPU of a call, in milliseconds, the median of ten rounds."""
    rounds = []
    for _ in range(10):
        begun = time.process_time()
        for _ in range(requests // 10):
            await ask(WORDS)
        rounds.append((time.process_time() - begun) * 1e3 / (requests // 10))
    return {"ms": sorted(rounds)[5]}


TASKS: dict[str, Callable[[Callable[[str], Any], int], Any]] = {
    "chaos": chaos,
    "recovery": one_after_the_other,
    "cpu": cpu,
}


async def run(options: argparse.Namespace) -> dict[str, Any]:
    task, _, way = options.task.partition(":")
    async with CONTESTANTS[options.name](options.url) as contestant:
        ask = contestant.stream if way == "stream" else contestant.invoke
        await ask("warm up")
        print("ready", flush=True)
        sys.stdin.readline()  # what was imported and connected by now is not measured
        result: dict[str, Any] = await TASKS[task](ask, options.requests)
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CONTESTANTS)
    parser.add_argument("task", help="chaos, recovery or cpu, with :stream or without")
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=300)
    print(json.dumps(asyncio.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
