"""A state without messages: a number that grows."""

from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    count: Annotated[int, add]
    note: str


def step(state: State) -> dict[str, Any]:
    return {"count": 1, "note": f"was {state.get('count', 0)}"}


graph = StateGraph(State).add_node(step).add_edge(START, "step").compile()
