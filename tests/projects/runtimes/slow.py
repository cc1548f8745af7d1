"""A module that takes its time and runs an event loop of its own while it is imported."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph


async def prepare() -> str:
    await asyncio.sleep(0.01)
    return "prepared"


time.sleep(0.05)
TEXT = Path(__file__).read_text()[:10]
PREPARED = asyncio.run(prepare())
THREAD = threading.current_thread() is threading.main_thread()


class State(TypedDict, total=False):
    seen: Any


async def node(state: State) -> State:
    return {"seen": {"prepared": PREPARED, "main": THREAD}}


graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
