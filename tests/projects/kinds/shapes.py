"""Graphs that use what LangGraph offers beyond nodes and edges."""

import asyncio
import time
from dataclasses import dataclass, field
from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy, Command, RetryPolicy, Send, interrupt
from pydantic import BaseModel

calls: list[str] = []


class Log(TypedDict, total=False):
    log: Annotated[list[str], add]
    given: Any


def says(*words: str) -> Any:
    def node(state: Log) -> Log:
        return {"log": list(words)}

    return node


# A node that waits for all branches, however long they are.
_builder = StateGraph(Log)
for _name in ("a", "b", "c"):
    _builder.add_node(_name, says(_name))
_builder.add_node("last", says("last"), defer=True)
_builder.add_edge(START, "a").add_edge("a", "b").add_edge("b", "c").add_edge("c", "last")
_builder.add_edge("a", "last").add_edge("last", END)
deferred = _builder.compile()


def slow(state: Log) -> Log:
    calls.append("slow")
    return {"log": [f"call {calls.count('slow')}"]}


# A node whose answers are kept.
cached = (
    StateGraph(Log)
    .add_node("slow", slow, cache_policy=CachePolicy(key_func=lambda state: str(state["given"])))
    .add_edge(START, "slow")
    .compile(cache=InMemoryCache())
)


def fails_twice(state: Log) -> Log:
    calls.append("fails")
    if calls.count("fails") % 3:
        raise ConnectionError("not yet")
    return {"log": ["third time"]}


retried = (
    StateGraph(Log)
    .add_node(
        "fails",
        fails_twice,
        retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.01, jitter=False),
    )
    .add_edge(START, "fails")
    .compile()
)


def up(state: Log) -> Command[Any]:
    return Command(goto="other", update={"log": ["up"]}, graph=Command.PARENT)


_inner = StateGraph(Log).add_node("up", up).add_edge(START, "up").compile()
parent = (
    StateGraph(Log)
    .add_node("inner", _inner, destinations=("other",))
    .add_node("other", says("other"))
    .add_edge(START, "inner")
    .compile()
)


def count_up(state: Log) -> Log:
    return {"log": [str(len(state.get("log", [])))]}


def asks(state: Log) -> Log:
    return {"log": [f"answered {interrupt({'question': len(state.get('log', []))})}"]}


def _sub(checkpointer: Any) -> Any:
    builder = StateGraph(Log).add_node("count", count_up).add_node("asks", asks)
    builder.add_edge(START, "count").add_edge("count", "asks")
    return builder.compile(checkpointer=checkpointer)


def _with(sub: Any) -> Any:
    return StateGraph(Log).add_node("sub", sub).add_edge(START, "sub").compile()


sub_shared, sub_kept, sub_none = _with(_sub(None)), _with(_sub(True)), _with(_sub(False))
sub_own = _with(_sub(InMemorySaver()))


class Item(TypedDict):
    item: int


def spread(state: Log) -> list[Send]:
    return [Send("work", {"item": item}) for item in state["given"]]


def work(state: Item) -> Log:
    return {"log": [f"item {state['item']}"]}


sends = (
    StateGraph(Log).add_node("work", work).add_conditional_edges(START, spread, ["work"]).compile()
)


def ask_item(state: Item) -> Log:
    return {"log": [interrupt({"item": state["item"]})]}


many = (
    StateGraph(Log)
    .add_node("work", ask_item)
    .add_conditional_edges(START, spread, ["work"])
    .compile()
)


async def generates(state: Log) -> Any:
    for word in ("one", "two"):
        await asyncio.sleep(0)
        yield {"log": [word]}


generator = StateGraph(Log).add_node(generates).add_edge(START, "generates").compile()


class Model(BaseModel):
    name: str
    count: int = 0
    inner: dict[str, int] = {}


def of_model(state: Model) -> dict[str, Any]:
    return {"count": state.count + 1, "inner": {type(state).__name__: 1}}


pydantic_state = StateGraph(Model).add_node("of", of_model).add_edge(START, "of").compile()


@dataclass
class Data:
    name: str = "nobody"
    seen: Annotated[list[str], add] = field(default_factory=list)


def of_data(state: Data) -> dict[str, Any]:
    return {"seen": [f"{type(state).__name__} {state.name}"]}


dataclass_state = StateGraph(Data).add_node("of", of_data).add_edge(START, "of").compile()


class Quiet(TypedDict, total=False):
    messages: list[Any]
    word: str


no_messages = (
    StateGraph(Quiet)
    .add_node("silent", lambda state: {"word": "said"})
    .add_edge(START, "silent")
    .compile()
)


def sync_sleeps(state: Log) -> Log:
    time.sleep(0.05)
    return {"log": ["slept"]}


sleeps = StateGraph(Log).add_node(sync_sleeps).add_edge(START, "sync_sleeps").compile()
