"""A graph whose channels take anything, and whose node does with it what its input says."""

import uuid
from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.config import get_store, get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from tests.server.shelf import SHELF


def strict(kept: list[Any], more: list[Any]) -> list[Any]:
    if SHELF.get("refuses"):
        raise RuntimeError("the reducer refuses")
    return kept + more


class Anything(TypedDict, total=False):
    messages: Any
    value: Any
    several: Annotated[list[Any], add]
    strict: Annotated[list[Any], strict]
    do: str
    shelf: str


class Telling(Exception):
    """Its text is that of a value."""


async def give(state: Anything) -> dict[str, Any]:
    value = SHELF.get(state.get("shelf", ""))
    match state.get("do"):
        case "return":
            return {"messages": value, "value": value}
        case "list":
            return {"messages": [value], "several": [value, {"inside": value}]}
        case "write":
            get_stream_writer()(value)
            get_stream_writer()({"type": value, "inside": [value]})
        case "ask":
            return {"value": interrupt(value)}
        case "raise":
            raise Telling(value, str(value))
        case "store":
            await get_store().aput(("any",), str(uuid.uuid4()), {"value": value})
    return {}


builder = StateGraph(Anything)
builder.add_node("give", give)
builder.add_edge(START, "give")
builder.add_edge("give", END)
graph = builder.compile()
