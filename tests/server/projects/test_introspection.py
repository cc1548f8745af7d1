"""What graphs say of themselves, where their types are hard to describe."""

import asyncio
import json
import socket
from typing import Annotated, Any, TypedDict

import httpx
import pytest
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk.client import LangGraphClient

from everturn.server.errors import GraphNotFound, InvalidInput
from everturn.server.projects.graphs import Graphs
from everturn.server.projects.introspection import Introspection


class Choices(TypedDict, total=False):
    model: str


# Not `typing_extensions`: pydantic refuses this one before Python 3.12.
class Plain(TypedDict, total=False):
    count: int
    _private: str
    model_config: dict[str, Any]
    locks: Annotated[list[asyncio.Lock], lambda old, new: old + new]


class Asked(TypedDict):
    count: int


def nothing(state: Plain) -> Plain:
    return {}


def of(graph: Any) -> Introspection:
    return Introspection(Graphs({"g": graph}))


async def test_types_that_pydantic_does_not_take() -> None:
    builder = StateGraph(Plain, input_schema=Asked, context_schema=Choices)
    builder.add_node("one", nothing)
    builder.add_edge(START, "one")
    schemas = await of(builder.compile()).schemas("g")
    assert schemas["input_schema"]["properties"] == {"count": {"title": "Count", "type": "integer"}}
    assert schemas["input_schema"]["required"] == ["count"]
    state = schemas["state_schema"]["properties"]
    assert list(state) == ["count", "_private", "model_config", "locks"]
    assert (state["count"]["type"], state["_private"]["type"]) == ("integer", "string")
    assert "type" not in state["locks"]
    assert schemas["context_schema"]["properties"]["model"]["type"] == "string"
    assert "title" in schemas["state_schema"]
    json.dumps(schemas)


async def test_a_type_that_cannot_be_read() -> None:
    class Odd(TypedDict):
        count: "Nowhere"  # type: ignore[name-defined]  # noqa: F821 - the flaw

    inner = StateGraph(Plain, context_schema=Odd)
    inner.add_node("one", nothing)
    inner.add_edge(START, "one")
    outer = StateGraph(Plain).add_node("inner", inner.compile()).add_edge(START, "inner")
    schemas = (await of(outer.compile()).subgraphs("g"))["inner"]
    assert schemas["context_schema"] is None
    assert schemas["state_schema"] is not None


async def test_the_functional_api() -> None:
    @entrypoint()
    async def double(number: int) -> int:
        return number * 2

    graph = of(double)
    schemas = await graph.schemas("g")
    assert schemas["input_schema"]["type"] == "integer"
    assert schemas["output_schema"]["type"] == "integer"
    assert {node["id"] for node in (await graph.drawing("g"))["nodes"]} >= {"double"}


async def test_a_subgraph_elsewhere_that_does_not_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        builder = StateGraph(Plain)
        client = LangGraphClient(httpx.AsyncClient(base_url=url))  # one that does not try again
        builder.add_node("far", RemoteGraph("agent", client=client))
        builder.add_edge(START, "far")
        graph = of(builder.compile())
        assert {node["id"] for node in (await graph.drawing("g"))["nodes"]} >= {"far"}
        assert set((await graph.subgraphs("g", recurse=True))["far"].values()) == {None}
        with pytest.raises(InvalidInput, match="without xray"):
            await graph.drawing("g", True)


async def test_a_graph_that_is_not_there() -> None:
    builder = StateGraph(Plain).add_node("one", nothing).add_edge(START, "one")
    graph = of(builder.compile())
    for ask in (graph.drawing, graph.schemas, graph.subgraphs):
        with pytest.raises(GraphNotFound):
            await ask("nothing")


async def test_each_answer_is_drawn_up_once() -> None:
    builder = StateGraph(Plain).add_node("one", nothing).add_edge(START, "one")
    graph = of(builder.compile())
    assert await graph.drawing("g", 1) is await graph.drawing("g", 1)
    assert await graph.drawing("g", 100) is await graph.drawing("g", 10**9)
    assert await graph.drawing("g", 1) is not await graph.drawing("g", True)
    first, second = await graph.schemas("g"), await graph.schemas("g")
    assert first["state_schema"] is second["state_schema"]
