"""A graph of several steps, each of which waits for a file and counts the messages it sees."""

import asyncio
from operator import add
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langgraph.graph import END, START, StateGraph, add_messages


class Steps(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    seen: Annotated[list[int], add]
    gates: list[str]
    calls: NotRequired[bool]


async def begin(state: Steps) -> dict[str, Any]:
    return {"seen": [len(state["messages"])]}


async def step(state: Steps) -> dict[str, Any]:
    seen, said = len(state["messages"]), list[AnyMessage]()
    gate = Path(state["gates"][len(state["seen"]) - 1])
    while not gate.exists():  # noqa: ASYNC110 - a file of another process
        await asyncio.sleep(0.01)
    if state.get("calls"):
        call = {"name": "look", "args": {}, "id": "call-1", "type": "tool_call"}
        said = [AIMessage("", tool_calls=[call])]
    return {"seen": [seen], "messages": said}


async def tool(state: Steps) -> dict[str, Any]:
    return {"messages": [ToolMessage("seen", tool_call_id="call-1")], "calls": False}


def after_step(state: Steps) -> str:
    if state.get("calls"):
        return "tool"
    return "step" if len(state["seen"]) <= len(state["gates"]) else END


async def last(state: Steps) -> dict[str, Any]:
    return {}


builder = StateGraph(Steps)
for node in (begin, step, tool, last):
    builder.add_node(node)
builder.add_edge(START, "begin")
builder.add_edge("begin", "step")
builder.add_conditional_edges("step", after_step, ["tool", "step", END])
builder.add_edge("tool", "last")
builder.add_edge("last", END)
graph = builder.compile()
