"""A graph that asks before it goes on."""

from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    task: str
    answer: str


def ask(state: State) -> dict[str, Any]:
    return {"answer": interrupt({"question": f"Do {state['task']}?"})}


graph = StateGraph(State).add_node(ask).add_edge(START, "ask").compile()
