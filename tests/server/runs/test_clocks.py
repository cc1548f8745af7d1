"""Real processes whose clocks are wrong: every turn that was answered stays in its thread."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.checkpoints.stores import REDIS_URL, postgres_database, redis_store
from tests.clocks import shifted
from tests.service import ROOT, process

pytestmark = pytest.mark.clock

TOY = ROOT / "tests" / "server" / "toy_graph.py"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("toy") / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def urls(config: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[str]]:
    """Two processes over the same stores, the clock of the second an hour behind."""
    folder = tmp_path_factory.mktemp("pair")
    async with redis_store() as redis, postgres_database() as database:
        stores = {
            "REDIS_URL": REDIS_URL,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "EVERTURN_REDIS_PREFIX": redis.prefix,
            "EVERTURN_CONFIG": str(config),
        }
        with ExitStack() as stack:
            running = [
                stack.enter_context(process(folder / name, **stores, **environment))
                for name, environment in (("right", {}), ("behind", shifted(folder, -3600)))
            ]
            yield [each.url() for each in running]


@pytest.fixture
async def pair(urls: list[str]) -> AsyncIterator[list[LangGraphClient]]:
    """Their clients."""
    clients = [get_client(url=url) for url in urls]
    yield clients
    for client in clients:
        await client.aclose()


async def ask(client: LangGraphClient, thread: str, question: str) -> list[str]:
    """A turn; what the thread says when it has ended."""
    said = await client.runs.wait(thread, "toy", input=asking(question), if_not_exists="create")
    return contents(said)


def asking(question: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}]}


def contents(values: Any) -> list[str]:
    return [message["content"] for message in values.get("messages", [])]


def turns(count: int) -> list[str]:
    return [text for number in range(count) for text in (f"question {number}", "hello you")]


async def test_turns_of_the_slower_one_stay(pair: list[LangGraphClient]) -> None:
    thread = str(uuid4())
    for number in range(6):
        said = await ask(pair[number % 2], thread, f"question {number}")
        assert said == turns(number + 1)
    for client in pair:
        state: Any = await client.threads.get_state(thread)
        assert contents(state["values"]) == turns(6)
        told: Any = await client.threads.get_history(thread, limit=100)
        steps = [each["metadata"]["step"] for each in told]
        assert steps == sorted(steps, reverse=True)
        assert contents(told[0]["values"]) == turns(6)
        older: Any = await client.threads.get_history(thread, before=told[3]["checkpoint"])
        assert [each["checkpoint"] for each in older] == [
            each["checkpoint"] for each in told[4 : 4 + len(older)]
        ]


async def test_a_fork_of_the_slower_one_is_gone_on_with(pair: list[LangGraphClient]) -> None:
    right, behind = pair
    thread = str(uuid4())
    for number in range(2):
        await ask(right, thread, f"question {number}")
    told: Any = await right.threads.get_history(thread, limit=100)
    first = next(each for each in told if contents(each["values"]) == turns(1))
    said: Any = await behind.runs.wait(
        thread,
        "toy",
        input=asking("question 1, put better"),
        checkpoint=first["checkpoint"],
    )
    assert contents(said) == [*turns(1), "question 1, put better", "hello you"]
    assert await ask(right, thread, "question 2") == [
        *contents(said),
        "question 2",
        "hello you",
    ]


async def test_an_update_of_the_slower_one_stays(pair: list[LangGraphClient]) -> None:
    right, behind = pair
    thread = str(uuid4())
    await ask(right, thread, "question 0")
    await behind.threads.update_state(thread, asking("a note"), as_node="inner")
    state: Any = await right.threads.get_state(thread)
    assert contents(state["values"]) == [*turns(1), "a note"]


async def test_a_clock_that_was_set_back_between_two_starts(config: Path, tmp_path: Path) -> None:
    thread = str(uuid4())
    for number, environment in enumerate(({}, shifted(tmp_path, -3600), {})):
        with process(
            tmp_path / "data", **{"EVERTURN_CONFIG": str(config), **environment}
        ) as running:
            client = get_client(url=await asyncio.to_thread(running.url))
            said = await ask(client, thread, f"question {number}")
            await client.aclose()
            assert said == turns(number + 1)
            assert await asyncio.to_thread(running.stop) == 0
