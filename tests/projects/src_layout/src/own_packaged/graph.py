"""A graph that imports its own package by its name."""

from typing import TypedDict

from langgraph.graph import START, StateGraph

from own_packaged.words import WORD  # type: ignore[import-not-found]  # there once it is served


class State(TypedDict, total=False):
    word: str


def node(state: State) -> State:
    return {"word": WORD}


graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
