"""A graph that imports the project's own `tools`."""

from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from tools import double  # type: ignore[attr-defined]


class State(TypedDict, total=False):
    number: int


def work(state: State) -> dict[str, Any]:
    return {"number": double(state["number"])}


graph = StateGraph(State).add_node(work).add_edge(START, "work").compile()
