"""A factory whose graph depends on the assistant that it is made for."""

from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    seen: Any


class Wide(State, total=False):
    wide: int


def _build(kind: str) -> Any:
    async def node(state: State) -> State:
        return {"seen": kind}

    inner = StateGraph(State).add_node(f"{kind}_inner", node).add_edge(START, f"{kind}_inner")
    builder = StateGraph(Wide if kind == "wide" else State)
    return (
        builder.add_node(kind, node)
        .add_node("inner", inner.compile())
        .add_edge(START, kind)
        .add_edge(kind, "inner")
        .compile()
    )


def choosy(config: RunnableConfig) -> Any:
    return _build(config.get("configurable", {}).get("kind", "plain"))
