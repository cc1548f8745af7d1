"""A graph that streams as much as its input says."""

import asyncio
from typing import TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph


class Talk(TypedDict, total=False):
    pieces: int
    size: int
    """Characters of a piece."""
    pause: float
    """Seconds after each piece."""
    done: bool


async def talk(state: Talk) -> Talk:
    write = get_stream_writer()
    for number in range(state.get("pieces", 1)):
        write({"number": number, "said": "x" * state.get("size", 1)})
        await asyncio.sleep(state.get("pause", 0))
    return {"done": True}


builder = StateGraph(Talk)
builder.add_node("talk", talk)
builder.add_edge(START, "talk")
builder.add_edge("talk", END)
graph = builder.compile()
