"""A graph that takes its time, so that it is under way when its process is replaced."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from everturn.graph.agent import graph as agent

__all__ = ["agent", "graph"]


class State(TypedDict, total=False):
    steps: int
    done: Annotated[list[int], operator.add]


async def step(state: State) -> dict[str, Any]:
    await asyncio.sleep(0.2)
    return {"done": [len(state.get("done", []))]}


def after_step(state: State) -> str:
    return END if len(state.get("done", [])) >= state.get("steps", 0) else "step"


builder = StateGraph(State).add_node(step).add_edge(START, "step")
graph = builder.add_conditional_edges("step", after_step).compile()
