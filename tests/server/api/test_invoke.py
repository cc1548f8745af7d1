"""Any graph of langgraph.json: invoked, streamed, interrupted, resumed."""

import json
from pathlib import Path

import pytest

from tests.service import Client, process, serving

GRAPHS = """
from typing import Annotated, TypedDict
from operator import add
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt

class State(TypedDict):
    log: Annotated[list[str], add]

def ask(state: State) -> dict:
    return {"log": [interrupt("your name?")]}

def fail(state: State) -> dict:
    raise RuntimeError("secret detail")

class Choices(TypedDict, total=False):
    model: str

def echo(state: MessagesState, runtime: Runtime[Choices]) -> dict:
    said = state["messages"][-1].text
    if said == "ask me":
        said = interrupt("really?")
    model = (runtime.context or {}).get("model", "own")
    return {"messages": [AIMessage(f"{model}: {said}")]}

echoing = StateGraph(MessagesState, context_schema=Choices)
echoing.add_node("echo", echo)
echoing.add_edge(START, "echo")

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
    graphs["echo"] = "./own_graphs.py:echoing"
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


def test_the_chat_routes_serve_ones_own_graph(data_dir: Path, own_graphs: Path) -> None:
    with serving(data_dir, config=own_graphs) as client:
        answer = client.ask("hello", agent="echo")
        assert answer["response"] == "own: hello"
        assert client.ask("hello", agent="echo", model="mine")["response"] == "mine: hello"
        no_messages = client.post("/api/chat/message", json={"message": "hi", "agent": "ask"})
        assert no_messages.status_code == 422
        assert "/invoke" in no_messages.json()["detail"]
        assert client.get("/api/chat/sessions").json()["total"] == 2


def test_a_turn_that_waits_says_so_and_is_no_history_yet(data_dir: Path, own_graphs: Path) -> None:
    with serving(data_dir, config=own_graphs) as client:
        waits = client.ask("ask me", agent="echo")
        session = waits["session_id"]
        assert waits["metadata"]["status"] == "interrupted"
        assert waits["metadata"]["interrupts"][0]["value"] == "really?"
        assert client.get(f"/api/chat/history/{session}").json() == []
        resume = {"graph": "echo", "thread_id": session, "command": {"resume": "yes"}}
        for _ in range(2):  # the second finds nothing to do
            assert client.post("/invoke", json=resume).status_code == 200
        rows = client.get(f"/api/chat/history/{session}").json()
        assert [row["assistant_message"] for row in rows] == ["own: yes"]


def test_the_environment_of_langgraph_json_reaches_the_graph(tmp_path: Path) -> None:
    (tmp_path / "reads_env.py").write_text(
        "import os\n" + GRAPHS.replace("secret detail", "x") + "seen = os.environ['GREETING']\n"
        "assert seen == 'hi from the file'\n"
    )
    (tmp_path / "own.env").write_text("GREETING='hi from the file'\n")
    config = {"graphs": {"ask": "./reads_env.py:asking"}, "env": "own.env"}
    (tmp_path / "langgraph.json").write_text(json.dumps(config))
    environment = {"EVERTURN_CONFIG": str(tmp_path / "langgraph.json")}
    with process(tmp_path / "data", **environment) as running:
        assert running.url()


def test_info_names_what_is_served(client: Client) -> None:
    info = client.get("/info").json()
    assert info["graphs"] == ["agent", "chat", "simple", "planner", "team"]
    assert info["models"] == ["offline"]
    assert info["memory"] == "embedded"
    assert client.get("/ok").json() == {"ok": True}
    assert client.get("/ready").status_code == 200
    assert client.get("/docs").status_code == 200
