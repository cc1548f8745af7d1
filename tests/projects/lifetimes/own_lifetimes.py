"""A graph whose state holds types of the project's own."""

from dataclasses import dataclass
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph


@dataclass
class Allowed:
    number: int


@dataclass
class Other:
    number: int


class State(TypedDict, total=False):
    kinds: list[str]
    values: Any


def node(state: State) -> State:
    known = state.get("values") or []
    kinds = [type(each).__name__ for each in known]
    return {"kinds": kinds, "values": [Allowed(1), Other(2)]}


graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
