"""Any graph of langgraph.json: invoked, streamed, interrupted, resumed."""

import json
from pathlib import Path

import pytest

from tests.service import Client, serving

GRAPHS = """
from typing import Annotated, TypedDict
from operator import add
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

class State(TypedDict):
    log: Annotated[list[str], add]

def ask(state: State) -> dict:
    return {"log": [interrupt("your name?")]}

def fail(state: State) -> dict:
    raise RuntimeError("secret detail")

builder = StateGraph(State)
builder.add_node("ask", ask)
builder.add_edge(START, "ask")
asking = builder.compile()

failing = StateGraph(State)
failing.add_node("fail", fail)
failing.add_edge(START, "fail")
"""


@pytest.fixture
def own_graphs(tmp_path: Path) -> Path:
    (tmp_path / "own_graphs.py").write_text(GRAPHS)
    config = tmp_path / "langgraph.json"
    graphs = {"ask": "./own_graphs.py:asking", "fail": "./own_graphs.py:failing"}
    config.write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    return config


def test_invoke_returns_the_final_state(client: Client) -> None:
    body = {"graph": "agent", "input": {"messages": [{"role": "user", "content": "Compute 3*3"}]}}
    state = client.post("/invoke", json=body).json()
    assert [message["type"] for message in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert set(state) == {"messages"}


def test_a_thread_is_remembered_only_where_it_is_named(client: Client) -> None:
    def invoke(text: str, thread_id: str | None = None) -> int:
        body = {"input": {"messages": text}, "thread_id": thread_id}
        return len(client.post("/invoke", json=body).json()["messages"])

    assert invoke("hello", "a/b c*") == 2
    assert invoke("hello again", "a/b c*") == 4
    assert invoke("hello") == 2


def test_stream_sends_langgraphs_parts(client: Client) -> None:
    body = {
        "graph": "agent",
        "thread_id": "streamed",
        "input": {"messages": "Calculate 3 * 3"},
        "stream_mode": ["updates", "messages", "debug"],
    }
    events = client.events("/stream", body)
    assert {event.name for event in events} == {"updates", "messages", "debug"}
    nodes = [next(iter(event.data)) for event in events if event.name == "updates"]
    assert nodes == ["model", "tools", "model"]
    assert "__everturn" not in json.dumps([event.data for event in events])
    assert "__ttl" not in json.dumps([event.data for event in events])


def test_an_interrupt_waits_and_goes_on(data_dir: Path, own_graphs: Path) -> None:
    with serving(data_dir, config=own_graphs) as client:
        asked = client.post(
            "/invoke", json={"graph": "ask", "thread_id": "t", "input": {"log": ["begin"]}}
        ).json()
        assert asked["log"] == ["begin"]
        assert asked["__interrupt__"][0]["value"] == "your name?"
        done = client.post(
            "/invoke", json={"graph": "ask", "thread_id": "t", "command": {"resume": "Ada"}}
        ).json()
        assert done == {"log": ["begin", "Ada"]}


def test_a_node_that_raises_is_an_internal_error(data_dir: Path, own_graphs: Path) -> None:
    with serving(data_dir, config=own_graphs) as client:
        body = {"graph": "fail", "thread_id": "t", "input": {"log": []}}
        failed = client.post("/invoke", json=body)
        events = client.events("/stream", body)
    assert failed.status_code == 500
    assert failed.json()["type"] == "internal-error"
    assert events[-1].name == "error"
    assert "secret detail" not in failed.text + json.dumps(events[-1].data)


def test_info_names_what_is_served(client: Client) -> None:
    info = client.get("/info").json()
    assert info["graphs"] == ["agent", "chat", "simple"]
    assert info["models"] == ["offline"]
    assert info["memory"] == "embedded"
    assert client.get("/ok").json() == {"ok": True}
    assert client.get("/ready").status_code == 200
    assert client.get("/docs").status_code == 200
