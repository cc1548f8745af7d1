"""Graphs that ask their own server, by clients without a URL made at import and at call time."""

import asyncio
from contextlib import aclosing
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph_sdk import get_client
from langgraph_sdk.errors import NotFoundError

at_import = get_client()


class State(TypedDict, total=False):
    by: str
    seen: Any


@tool
async def count_to(number: int) -> list[int]:
    """Count."""
    answer: Any = await get_client().runs.wait(None, "worker", input={"to": number})
    return answer["counted"]


async def by_import() -> Any:
    answer: Any = await at_import.runs.wait(None, "worker", input={"to": 2})
    return answer["counted"]


async def by_tool() -> Any:
    return await count_to.ainvoke({"number": 4})


async def by_stream() -> Any:
    parts = at_import.runs.stream(None, "worker", input={"to": 3}, stream_mode="custom")
    return [part.data async for part in parts if part.event == "custom"]


async def by_missing() -> Any:
    try:
        await at_import.threads.get("4b0d9a64-5b9f-4d0c-8e5f-0e2d6c0f0b11")
    except NotFoundError as error:
        return error.response.status_code


async def by_threads() -> Any:
    client = get_client()
    thread = await client.threads.create()
    await client.runs.wait(thread["thread_id"], "worker", input={"to": 1})
    state: Any = await client.threads.get_state(thread["thread_id"])
    return [state["values"]["counted"], thread["thread_id"]]


async def by_join() -> Any:
    client = get_client()
    thread_id = (await client.threads.create())["thread_id"]
    numbers = {"to": 2}
    run = await client.runs.create(thread_id, "worker", input=numbers, stream_mode="custom")
    joined = client.runs.join_stream(thread_id, run["run_id"], last_event_id="-1")
    return [part.data async for part in joined if part.event == "custom"]


async def by_thread_stream() -> Any:
    """Follow a thread, which has no end, and leave it."""
    client = get_client()
    thread_id = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread_id, "worker", input={"to": 10, "pause": 0.05})
    stream: Any = await client.threads.join_stream(thread_id)
    async with aclosing(stream) as parts:
        async for part in parts:
            if part.event == "values":
                await client.runs.join(thread_id, run["run_id"])
                return part.data["to"]
    return None


async def by_store() -> Any:
    client = get_client()
    await client.store.put_item(["here"], "key", {"a": 1})
    found = await client.store.get_item(["here"], "key")
    return found["value"]


ways = {name: way for name, way in globals().items() if name.startswith("by_")}


async def call(state: State) -> State:
    return {"seen": await ways[state["by"]]()}


def call_in_a_loop_of_its_own(state: State) -> State:
    return {"seen": asyncio.run(by_stream())}


def _one(node: Any) -> Any:
    return StateGraph(State).add_node("node", node).add_edge(START, "node").compile()


graph, sync = _one(call), _one(call_in_a_loop_of_its_own)


async def made(config: RunnableConfig) -> Any:
    """Ask the server before the graph is made."""
    found = await get_client().assistants.search(graph_id="worker", limit=1)
    name = found[0]["name"]

    async def tell(state: State) -> State:
        return {"seen": name}

    return _one(tell)
