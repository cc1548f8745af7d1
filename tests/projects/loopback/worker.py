"""A graph that others ask: it counts, and shows each number as it comes."""

import asyncio
from typing import TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph

left: list[int] = []
"""How far those counts came that were given up."""


class Count(TypedDict, total=False):
    to: int
    pause: float
    counted: list[int]


async def count(state: Count) -> Count:
    write = get_stream_writer()
    for number in range(state.get("to", 3)):
        write(number)
        try:
            await asyncio.sleep(state.get("pause", 0))
        except asyncio.CancelledError:
            left.append(state["to"])
            raise
    return {"counted": list(range(state.get("to", 3)))}


graph = StateGraph(Count).add_node(count).add_edge(START, "count").compile()
