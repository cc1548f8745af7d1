"""LangGraph's `RemoteGraph` does what the served graph does, alone and as another graph's node."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import UnprocessableEntityError

from tests.server import toy_graph
from tests.service import Client, serving

TOY = Path(toy_graph.__file__)
MODES: Any = ["values", "updates", "custom", "messages"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("remote")
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    with serving(folder / "data", config=config) as client:
        yield client


@pytest.fixture
async def remote(served: Client) -> AsyncIterator[RemoteGraph]:
    url = str(served.base_url)
    client = get_client(url=url, api_key=None)
    with get_sync_client(url=url, api_key=None) as sync_client:
        yield RemoteGraph("toy", client=client, sync_client=sync_client)
    await client.aclose()


@pytest.fixture
def local() -> Any:
    return toy_graph.builder.compile(checkpointer=InMemorySaver())


@pytest.fixture
def thread() -> RunnableConfig:
    return {"configurable": {"thread_id": str(uuid4())}}


def parent_of(remote: RemoteGraph) -> Any:
    builder = StateGraph(toy_graph.Toy)
    builder.add_node("far", remote)
    builder.add_edge(START, "far")
    return builder.compile(checkpointer=InMemorySaver())


def plain(value: Any) -> Any:
    """What does not differ between two runs: no ids, messages by their words."""
    if isinstance(value, BaseMessage):
        return value.content
    if isinstance(value, dict) and "content" in value and "type" in value:
        return value["content"]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def told(parts: Any) -> list[Any]:
    """A stream with subgraphs without what differs between two runs."""
    return [
        (
            [name.partition(":")[0] for name in namespace],
            mode,
            plain(data[0] if mode == "messages" else data),
        )
        for namespace, mode, data in parts
    ]


async def test_it_answers_as_the_graph_does(remote: RemoteGraph) -> None:
    asked: Any = {"words": "good day"}
    answer = {**asked, "messages": ["good day"], "steps": ["prepare"]}
    assert plain(await toy_graph.graph.ainvoke(asked)) == answer
    assert plain(await remote.ainvoke(asked)) == answer
    assert plain(remote.invoke(asked)) == answer


async def test_it_streams_as_the_graph_does(
    remote: RemoteGraph, local: Any, thread: RunnableConfig
) -> None:
    asked: Any = {"words": "one two"}
    here = [part async for part in local.astream(asked, thread, stream_mode=MODES, subgraphs=True)]
    there = [
        part async for part in remote.astream(asked, thread, stream_mode=MODES, subgraphs=True)
    ]
    assert told(there) == told(here)
    assert ([], "custom", {"preparing": True}) in told(there)
    again = remote.stream(asked, thread, stream_mode=MODES, subgraphs=True)
    assert [mode for _, mode, _ in told(again)] == [mode for _, mode, _ in told(here)]


def test_it_has_the_graphs_drawing(remote: RemoteGraph) -> None:
    for xray in (False, True):
        here = toy_graph.graph.get_graph(xray=xray)
        there = remote.get_graph(xray=xray)
        assert set(there.nodes) == set(here.nodes)
        assert {(e.source, e.target) for e in there.edges} == {
            (e.source, e.target) for e in here.edges
        }


async def test_its_states_are_the_graphs(
    remote: RemoteGraph, local: Any, thread: RunnableConfig
) -> None:
    graphs: list[Any] = [local, remote]
    for graph in graphs:
        await graph.ainvoke({"words": "one"}, thread)
        state = await graph.aget_state(thread)
        assert plain(state.values)["messages"] == ["one"]
        history = [state async for state in graph.aget_state_history(thread)]
        assert [each.next for each in history] == [(), ("inner",), ("prepare",), ("__start__",)]
        assert history[0].parent_config is not None
        earlier = await graph.aget_state(history[1].config)
        assert (earlier.next, earlier.created_at) == (("inner",), history[1].created_at)
        config = await graph.aupdate_state(history[1].config, {"words": "two"}, as_node="prepare")
        forked = await graph.aget_state(thread)
        assert (
            config["configurable"]["checkpoint_id"]
            == (forked.config["configurable"]["checkpoint_id"])
        )
        assert (forked.values["words"], forked.next) == ("two", ("inner",))
        assert forked.metadata["source"] == "update"
        assert plain(await graph.ainvoke(None, config))["messages"] == ["two"]


def test_it_is_interrupted_and_resumed(remote: RemoteGraph, thread: RunnableConfig) -> None:
    asked = remote.invoke({"ask": True}, thread)
    (question,) = asked["__interrupt__"]
    assert question["value"] == {"question": "sure?"}
    state = remote.get_state(thread, subgraphs=True)
    assert state.next == ("inner",)
    assert [each.id for each in state.interrupts] == [question["id"]]
    inner: Any = state.tasks[0].state
    assert inner.next == ("think",)
    assert inner.tasks[0].interrupts == state.interrupts
    found = remote.invoke(Command(resume="sure"), thread)
    assert plain(found)["messages"] == ["sure"]
    assert remote.get_state(thread).interrupts == ()
    stopped = remote.invoke({"ask": False, "words": "x"}, thread, interrupt_before=["inner"])
    assert len(stopped["messages"]) == 1
    assert remote.get_state(thread).next == ("inner",)
    assert plain(remote.invoke(None, thread))["messages"] == ["sure", "x"]


def test_it_fails_as_the_graph_does(remote: RemoteGraph, thread: RunnableConfig) -> None:
    with pytest.raises(RemoteException, match="toy boom") as failed:
        remote.invoke({"fail": True}, thread)
    assert failed.value.args[0]["error"] == "RuntimeError"
    (task,) = remote.get_state(thread).tasks
    assert "toy boom" in str(task.error)


async def test_it_is_a_node_of_another_graph(
    served: Client, remote: RemoteGraph, thread: RunnableConfig
) -> None:
    parent = parent_of(remote)
    asked: Any = {"words": "from afar"}
    parts = [
        part async for part in parent.astream(asked, thread, stream_mode=MODES, subgraphs=True)
    ]
    seen = told(parts)
    assert (["far"], "custom", {"preparing": True}) in seen
    assert (["far"], "updates", {"prepare": {"steps": ["prepare"]}}) in seen
    assert [words for at, mode, words in seen if mode == "messages" and at == ["far", "inner"]] == [
        *("from", " ", "afar")
    ]
    last: Any = seen[-1]
    assert (last[0], last[1], last[2]["messages"]) == ([], "values", ["from afar"])
    place = thread.get("configurable", {})["thread_id"]
    assert served.get(f"/threads/{place}").json()["metadata"]["graph_id"] == "toy"


def test_its_questions_and_failures_are_its_parents(
    remote: RemoteGraph, thread: RunnableConfig
) -> None:
    parent = parent_of(remote)
    asked = parent.invoke({"ask": True}, thread)
    (question,) = asked["__interrupt__"]
    assert question.value == {"question": "sure?"}
    assert parent.get_state(thread).next == ("far",)
    assert remote.get_state(thread).interrupts[0].id == question.id
    with pytest.raises(RemoteException, match="toy boom"):
        parent.invoke({"ask": False, "fail": True}, {"configurable": {"thread_id": str(uuid4())}})


def test_a_graph_that_is_not_served(served: Client) -> None:
    with get_sync_client(url=str(served.base_url), api_key=None) as client:
        remote = RemoteGraph("nobody", sync_client=client)
        with pytest.raises(UnprocessableEntityError, match="nobody"):
            remote.invoke({"words": "x"})
        with pytest.raises(UnprocessableEntityError, match="nobody"):
            remote.get_graph()
