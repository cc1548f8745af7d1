"""A turn that was stored is answered, whatever becomes of what is said about it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everturn.server.api.http.json import jsonable
from everturn.server.observe.logs import configure_logs
from tests.service import Client, serving

ODD = """
from pathlib import Path

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

ODD = {
    "usage": {"usage_metadata": {"input_tokens": 1, "output_tokens": None}},
    "route": {"response_metadata": {"route": {"mode": "x", "model": None, "tried": [5]}}},
    "model": {"response_metadata": {"model_name": ["m"], "cost": "much"}},
}

def answer(state):
    said = state["messages"][-1].text
    if said == "interrupt":
        interrupt({"bytes": b"\\xff", "path": Path("/a"), "nan": float("nan"), "set": {1}})
    message = AIMessage("Here.")
    for name, value in ODD.get(said, {}).items():
        setattr(message, name, value)
    return {"messages": [message]}

graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile()
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "odd_answers.py").write_text(ODD)
    config = {"graphs": {"agent": "./odd_answers.py:graph"}}
    (folder / "langgraph.json").write_text(json.dumps(config))
    with serving(folder / "data", config=folder / "langgraph.json") as client:
        yield client


@pytest.mark.parametrize("said", ["usage", "route", "model", "plain"])
def test_whatever_a_graph_writes_beside_its_answer(odd: Client, said: str) -> None:
    answer = odd.ask(said)
    assert answer["response"] == "Here."
    events = odd.events("/api/chat/message/stream", {"message": said})
    assert events[-1].name == "done"
    for session in (answer["session_id"], events[0].data["session_id"]):
        rows = odd.get(f"/api/chat/history/{session}").json()
        assert [row["assistant_message"] for row in rows] == ["Here."]
    assert odd.post("/invoke", json={"input": {"messages": said}}).status_code == 200


def test_whatever_a_graph_waits_for(odd: Client) -> None:
    answer = odd.ask("interrupt")
    assert answer["status"] == "interrupted"
    value = {"bytes": "/w==", "path": "/a", "nan": None, "set": [1]}
    assert answer["metadata"]["interrupts"][0]["value"] == value
    events = odd.events("/api/chat/message/stream", {"message": "interrupt"})
    assert events[-1].data["status"] == "interrupted"
    asked = {"input": {"messages": "interrupt"}, "thread_id": "odd"}
    assert odd.post("/invoke", json=asked).status_code == 200


def _broken(*_: object, **__: object) -> Any:
    raise RuntimeError("broken")


@pytest.fixture(params=["metric", "record", "log"])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the steps beside a turn raises."""
    match request.param:
        case "metric":
            monkeypatch.setattr("prometheus_client.Counter.inc", _broken)
        case "record":
            monkeypatch.setattr("everturn.server.observe.turns._count", _broken)
        case _:
            monkeypatch.setattr("structlog.processors.JSONRenderer.__call__", _broken)
            configure_logs("DEBUG")


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    yield
    configure_logs("WARNING")


@pytest.mark.usefixtures("broken")
def test_what_is_counted_and_logged_costs_no_answer(data_dir: Path) -> None:
    with serving(data_dir) as client:
        assert "200" in client.ask("Calculate 10 * 20")["response"]
        asked = {"input": {"messages": "Calculate 10 * 20"}, "thread_id": "t"}
        assert "200" in client.post("/invoke", json=asked).raise_for_status().text
        for path, body in (
            ("/api/chat/message/stream", {"message": "Calculate 10 * 20"}),
            ("/stream", {**asked, "stream_mode": "values"}),
        ):
            assert "error" not in {event.name for event in client.events(path, body)}
        run = {"assistant_id": "agent", **asked}
        del run["thread_id"]
        answer = client.post("/runs/wait", json=run).raise_for_status().json()
        assert "200" in answer["messages"][-1]["content"]


class Unspeakable:
    def __str__(self) -> str:
        raise ValueError("no words")


def test_json_is_written_of_anything() -> None:
    odd = {("a", 1): {"b": [Unspeakable(), ValueError(Unspeakable())]}, "big": 2**70}
    assert jsonable(odd) == {
        "('a', 1)": {
            "b": ["<Unspeakable>", {"error": "ValueError", "message": "<ValueError>"}],
        },
        "big": 2**70,
    }
