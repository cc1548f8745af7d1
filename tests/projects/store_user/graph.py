"""A graph that remembers in the store what it was given."""

from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime


class State(TypedDict, total=False):
    fact: str
    known: list[str]


async def remember(state: State, runtime: Runtime[None]) -> dict[str, Any]:
    assert runtime.store is not None
    await runtime.store.aput(("facts",), state["fact"], {"text": state["fact"]})
    found = await runtime.store.asearch(("facts",))
    return {"known": sorted(item.value["text"] for item in found)}


graph = StateGraph(State).add_node(remember).add_edge(START, "remember").compile()
