"""Which graph answers a request that names none: `agent`, or the only one that is served."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from everturn.server.__main__ import main
from tests.service import Client, serving

ECHO = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

def echo(state: MessagesState) -> dict:
    return {"messages": [AIMessage(f"I heard {state['messages'][-1].text}")]}

graph = StateGraph(MessagesState)
graph.add_node("echo", echo)
graph.add_edge(START, "echo")
"""

THREAD = "11111111-1111-4111-8111-111111111111"
ASKED = {"input": {"messages": "you"}}


def project(folder: Path, *names: str) -> Path:
    (folder / "echo_graph.py").write_text(ECHO)
    config = folder / "langgraph.json"
    graphs = dict.fromkeys(names, "./echo_graph.py:graph")
    config.write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    return config


@pytest.mark.parametrize("names", [["support"], ["other", "agent"]], ids=["the only one", "agent"])
def test_the_default_answers_at_each_door(
    names: list[str], tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    default = names[-1]
    with serving(data_dir, config=project(tmp_path, *names)) as client:
        answer = client.ask("you")
        assert (answer["response"], answer["metadata"]["agent"]) == ("I heard you", default)
        events = client.events("/api/chat/message/stream", {"message": "you"})
        assert (events[0].data["agent"], events[-1].name) == (default, "done")
        invoked = client.post("/invoke", json={**ASKED, "thread_id": THREAD}).json()
        assert invoked["messages"][-1]["content"] == "I heard you"
        assert client.get(f"/threads/{THREAD}").json()["metadata"]["graph_id"] == default
        streamed = client.events("/stream", ASKED)
        assert streamed[-1].data["messages"][-1]["content"] == "I heard you"
        assert main(["chat", "--url", str(client.base_url), "you"]) == 0
        assert capsys.readouterr().out == "I heard you\n"


def test_of_several_graphs_one_has_to_be_named(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(client: Client, path: str, body: Mapping[str, object], field: str) -> None:
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()["type"]) == (422, "invalid-input")
        says = f"{field}: say which graph should answer; there are: first, second."
        assert answer.json()["detail"].startswith(says)

    with serving(data_dir, config=project(tmp_path, "first", "second")) as client:
        for path in ("/api/chat/message", "/api/chat/message/stream"):
            refused(client, path, {"message": "you"}, "agent")
        for path in ("/invoke", "/stream"):
            refused(client, path, ASKED, "graph")
        assert client.ask("you", agent="second")["metadata"]["agent"] == "second"
        assert client.post("/invoke", json={"graph": "first", **ASKED}).status_code == 200
        missing = client.post("/api/chat/message", json={"message": "you", "agent": "agent"})
        assert (missing.status_code, missing.json()["type"]) == (404, "graph-not-found")
        chat = ["chat", "--url", str(client.base_url)]
        assert main([*chat, "you"]) == 1
        assert "there are: first, second." in capsys.readouterr().err
        assert main([*chat, "--agent", "first", "you"]) == 0
