"""A graph that answers with what its environment says."""

import os
from typing import Any

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict):
    """Names to look up, and what they were set to."""

    names: list[str]
    found: dict[str, str | None]


def look(state: State) -> dict[str, Any]:
    """Read the environment as any node would."""
    return {"found": {name: os.environ.get(name) for name in state["names"]}}


graph = StateGraph(State).add_node("look", look).add_edge(START, "look").compile()
