"""A graph that does what its input says: waits, fails, asks, speaks."""

import asyncio
from operator import add
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import START, StateGraph, add_messages
from langgraph.types import interrupt


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    steps: Annotated[list[str], add]
    wait: float
    fail: bool
    ask: bool


def prepare(state: State) -> dict[str, Any]:
    return {"steps": ["prepare"]}


async def think(state: State) -> dict[str, Any]:
    await asyncio.sleep(state.get("wait") or 0)
    if state.get("fail"):
        raise RuntimeError("boom")
    said = interrupt("what?") if state.get("ask") else "hello you"
    model = GenericFakeChatModel(messages=iter([AIMessage(said)]))
    return {"steps": ["think"], "messages": [await model.ainvoke(state.get("messages", []))]}


builder = StateGraph(State).add_node(prepare).add_node(think)
builder.add_edge(START, "prepare").add_edge("prepare", "think")
graph = builder.compile()
other = builder.compile()
