"""A graph whose nodes do what no node should, and one whose nodes ask side by side."""

from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class Odd(TypedDict, total=False):
    how: str
    answers: Annotated[list[Any], add]


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Beyond(BaseException):
    pass


async def misbehave(state: Odd) -> dict[str, Any]:
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


asking = StateGraph(Odd)
asking.add_node("left", left)
asking.add_node("right", right)
asking.add_edge(START, "left")
asking.add_edge(START, "right")
both = asking.compile()
