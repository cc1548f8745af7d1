"""Graphs whose nodes do what no node should, ask side by side, and tell what was chosen."""

import asyncio
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.config import get_config, get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt


class Odd(TypedDict, total=False):
    how: str
    until: str
    answers: Annotated[list[Any], add]


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Beyond(BaseException):
    pass


async def misbehave(state: Odd) -> dict[str, Any]:
    while not Path(state.get("until", "/")).exists():  # noqa: ASYNC110 - a file of another process
        await asyncio.sleep(0.01)
    if state.get("how") == "loud":
        for number in range(10):
            get_stream_writer()({"number": number, "text": "x" * 1_000_000})
    if state.get("how") == "exit":
        raise SystemExit(3)
    errors = {"unprintable": Unprintable, "beyond": Beyond, "surrogate": RuntimeError}
    if error := errors.get(state.get("how", "")):
        raise error("half of a pair: \ud800, and \0")
    return {}


builder = StateGraph(Odd)
builder.add_node("misbehave", misbehave)
builder.add_edge(START, "misbehave")
builder.add_edge("misbehave", END)
graph = builder.compile()


async def left(state: Odd) -> dict[str, Any]:
    return {"answers": [interrupt("left?")]}


async def right(state: Odd) -> dict[str, Any]:
    return {"answers": [interrupt("right?")]}


class Choice(TypedDict, total=False):
    tone: str


async def choose(state: Odd, runtime: Runtime[Choice]) -> dict[str, Any]:
    configurable = get_config().get("configurable", {})
    said = {key: configurable.get(key) for key in ("tone", "flavour")}
    return {"answers": [dict(runtime.context), said, b"\xff\x00"]}


choosing = StateGraph(Odd, context_schema=Choice)
choosing.add_node("choose", choose)
choosing.add_edge(START, "choose")
chosen = choosing.compile()

asking = StateGraph(Odd)
asking.add_node("left", left)
asking.add_node("right", right)
asking.add_edge(START, "left")
asking.add_edge(START, "right")
both = asking.compile()
