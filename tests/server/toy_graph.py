"""A graph that does what its input says: waits, fails, asks, streams, calls a subgraph."""

import asyncio
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import interrupt


class Thinking(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    wait: float
    until: str
    fail: bool
    ask: bool
    words: str


class Toy(Thinking, total=False):
    steps: Annotated[list[str], add]


async def prepare(state: Toy) -> dict[str, Any]:
    get_stream_writer()({"preparing": True})
    return {"steps": ["prepare"]}


async def think(state: Thinking) -> dict[str, Any]:
    await asyncio.sleep(state.get("wait", 0))
    while not Path(state.get("until", "/")).exists():  # noqa: ASYNC110 - a file of another process
        await asyncio.sleep(0.01)
    if state.get("fail"):
        raise RuntimeError("toy boom")
    said = interrupt({"question": "sure?"}) if state.get("ask") else state.get("words", "hello you")
    chat = GenericFakeChatModel(messages=iter([AIMessage(said)]))
    return {"messages": [await chat.ainvoke(state.get("messages", []))]}


inner = StateGraph(Thinking)
inner.add_node("think", think)
inner.add_edge(START, "think")
inner.add_edge("think", END)

builder = StateGraph(Toy)
builder.add_node("prepare", prepare)
builder.add_node("inner", inner.compile())
builder.add_edge(START, "prepare")
builder.add_edge("prepare", "inner")
builder.add_edge("inner", END)
graph = builder.compile()
paused = builder.compile(interrupt_before=["inner"])
