"""A graph that writes down in a file what it executes, and in which process."""

import asyncio
import os
import time
from operator import add
from pathlib import Path
from typing import Annotated, Any, Required

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    journal: Required[str]
    name: Required[str]
    until: str
    blocks: float
    wait: float
    said: Annotated[list[str], add]


async def begin(state: State) -> dict[str, Any]:
    with Path(state["journal"]).open("a") as journal:
        journal.write(f"{state['name']} {os.getpid()}\n")
    return {}


async def work(state: State) -> dict[str, Any]:
    time.sleep(state.get("blocks", 0))  # noqa: ASYNC251 - it blocks the event loop
    await asyncio.sleep(state.get("wait", 0))
    while not Path(state.get("until", "/")).exists():  # noqa: ASYNC110 - a file of a test's
        await asyncio.sleep(0.01)
    return {"said": [state["name"]]}


builder = StateGraph(State)
builder.add_node("begin", begin)
builder.add_node("work", work)
builder.add_edge(START, "begin")
builder.add_edge("begin", "work")
builder.add_edge("work", END)
graph = builder.compile()
