"""A graph that shows the values of its config that come from headers."""

from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    seen: dict[str, str]


def echo(state: State, config: RunnableConfig) -> State:
    values = config.get("configurable", {})
    return {"seen": {key: value for key, value in values.items() if key.startswith("x-")}}


graph = StateGraph(State).add_node(echo).add_edge(START, "echo").compile()
