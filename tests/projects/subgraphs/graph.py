"""A graph in a graph; the inner one asks."""

from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    steps: Annotated[list[str], add]


def before(state: State) -> dict[str, Any]:
    return {"steps": ["before"]}


def asks(state: State) -> dict[str, Any]:
    return {"steps": [f"asked: {interrupt('go on?')}"]}


inner = StateGraph(State).add_node(asks).add_edge(START, "asks").compile()
outer = StateGraph(State).add_node(before).add_node("inner", inner)
graph = outer.add_edge(START, "before").add_edge("before", "inner").compile()
