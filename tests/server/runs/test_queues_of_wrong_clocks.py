"""Queues of processes whose clocks are an hour apart: in the order of the posts, and at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.checkpoints.stores import REDIS_URL, postgres_database, redis_store
from tests.clocks import shifted
from tests.service import ROOT, Process, process
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.clock

TOY = ROOT / "tests" / "server" / "toy_graph.py"
HOUR = 3600

Started = tuple[Process, LangGraphClient]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Started]]:
    """Start processes over the same stores, by how many seconds their clocks are ahead."""
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    async with redis_store() as redis, postgres_database() as database, AsyncExitStack() as stack:

        def run(name: str, ahead: int = 0) -> Started:
            running = stack.enter_context(
                process(
                    tmp_path / name,
                    REDIS_URL=REDIS_URL,
                    DATABASE_URL=database.render_as_string(hide_password=False),
                    EVERTURN_REDIS_PREFIX=redis.prefix,
                    EVERTURN_CONFIG=str(config),
                    **(shifted(tmp_path, ahead) if ahead else {}),
                )
            )
            client = get_client(url=running.url())
            stack.push_async_callback(client.aclose)
            return running, client

        yield run


async def post(client: LangGraphClient, thread: str, question: str, **more: Any) -> str:
    asked = {"messages": [{"role": "user", "content": question}], **more}
    run = await client.runs.create(thread, "toy", input=asked, if_not_exists="create")
    return str(run["run_id"])


async def until_it_waits(client: LangGraphClient, thread: str) -> None:
    async def waits() -> bool:
        return (await client.threads.get_state(thread))["next"] == ["inner"]

    await eventually(waits)


async def questions(client: LangGraphClient, thread: str) -> list[str]:
    state: Any = await client.threads.get_state(thread)
    return [m["content"] for m in state["values"]["messages"] if m["type"] == "human"]


async def test_a_run_of_one_that_was_ahead_is_taken_over_at_once(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    (ahead, there), (_, here) = start("ahead", HOUR), start("right")
    thread, go = str(uuid4()), tmp_path / "go"
    run_id = await post(there, thread, "first", until=str(go))
    await until_it_waits(here, thread)
    go.touch()
    ahead.kill()
    await asyncio.wait_for(here.runs.join(thread, run_id), PATIENCE)
    assert (await here.runs.get(thread, run_id))["status"] == "success"
    assert await questions(here, thread) == ["first"]


@pytest.mark.parametrize("dies", [False, True])
async def test_runs_start_and_are_listed_in_the_order_of_their_posts(
    start: Callable[..., Started], tmp_path: Path, *, dies: bool
) -> None:
    (holder, first), (_, right), (_, behind) = start("a"), start("b"), start("c", -HOUR)
    thread, go = str(uuid4()), tmp_path / "go"
    run_ids = [await post(first, thread, "first", until=str(go))]
    await until_it_waits(right, thread)
    asked = ["first"]
    for number in range(4):
        asked.append(f"question {number}")
        run_ids.append(await post((right, behind)[number % 2], thread, asked[-1]))
    await asyncio.sleep(2)  # who waited for long looks whether he is the next one
    go.touch()
    if dies:
        holder.kill()
    for run_id in run_ids:
        await asyncio.wait_for(right.runs.join(thread, run_id), PATIENCE)
    assert await questions(right, thread) == asked
    listed = [run["run_id"] for run in await behind.runs.list(thread)]
    assert listed == run_ids[::-1]
