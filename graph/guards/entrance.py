"""The node `guard_input`, where a graph begins with it: only while guards are switched on."""

from collections.abc import Hashable
from typing import Any

from langgraph.graph import END, START, StateGraph

from everturn.graph.guards.settings import GuardSettings
from everturn.graph.nodes.guard_input import after_guard_input, guard_input


def enter_at(builder: StateGraph[Any, Any, Any, Any], node: str) -> None:
    """Have a graph begin at a node; with guards on, behind `guard_input`.

    Asked when the graph is built, of the environment: without guards there is no node, and no
    super-step.
    """
    if not GuardSettings.read().on:
        builder.add_edge(START, node)
        return
    builder.add_node("guard_input", guard_input)
    builder.add_edge(START, "guard_input")
    ways: dict[Hashable, str] = {"go on": node, "refused": END}
    builder.add_conditional_edges("guard_input", after_guard_input, ways)
