"""A busy minute: turns through all doors, a fallback, a tool, failures, a cancelled run, a kill."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.provider import KEY, FakeProvider, Fault, Reply, ToolCall
from tests.service import ROOT, Client, process
from tests.waiting import eventually_sync

pytestmark = pytest.mark.clock

QUESTION, ANSWER = "SecretQuestion", "SecretAnswer"
ARGUMENT, RAISED = "SecretArgument", "SecretRaised"
FIELDS = {
    *("endpoint", "session_id", "model_used", "tokens_used", "tokens_in", "tokens_out", "cost"),
    *("response_time", "first_token", "attempts", "fallbacks", "status", "error"),
    *("run_id", "thread_id", "caller"),
}
TOOL = f'''
from langchain_core.tools import tool

@tool
def look_up(name: str) -> str:
    """Look somebody up."""
    raise ValueError("{RAISED} " + name)
'''
GRAPH = f"""
from langgraph.graph import START, MessagesState, StateGraph

def fails(state):
    try:
        raise KeyError(state["messages"][-1].content)
    except KeyError as error:
        raise RuntimeError("{RAISED} " + state["messages"][-1].content) from error

graph = StateGraph(MessagesState).add_node(fails).add_edge(START, "fails").compile()
"""
TOY = ROOT / "tests" / "server" / "toy_graph.py"
Json = dict[str, Any]


class Busy(NamedTuple):
    """What a busy minute left."""

    lines: list[Json]
    text: str
    metrics: str
    recovered: str

    def turns(self, endpoint: str) -> list[Json]:
        found = [line for line in self.lines if line["event"] == "api_request"]
        return [line for line in found if line["endpoint"] == endpoint]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Busy:
    folder = tmp_path_factory.mktemp("busy")
    (folder / "tools").mkdir()
    (folder / "tools" / "look_up.py").write_text(TOOL)
    (folder / "fails.py").write_text(GRAPH)
    graphs = {
        "agent": str(ROOT / "graph" / "agent.py:graph"),
        "toy": f"{TOY}:graph",
        "fails": "./fails.py:graph",
    }
    (folder / "own.json").write_text(json.dumps({"graphs": graphs}))
    with FakeProvider() as provider:
        said = Fault(400, message=f"What is '{QUESTION}'? The key was {KEY}.")
        provider.script("bad", said)
        provider.script("limited", Fault(429, retry_after=60))
        call = ToolCall("look_up", {"name": ARGUMENT})
        provider.script("well", Reply(tool_calls=[call]), Reply(ANSWER, cost=0.25))
        environment = {
            "EVERTURN_CONFIG": str(folder / "own.json"),
            "EVERTURN_BASE_URL": provider.url,
            "OPENAI_API_KEY": KEY,
            "EVERTURN_MODELS": "bad,limited,well",
            "EVERTURN_TOOL_PATHS": str(folder / "tools"),
            "LOG_LEVEL": "DEBUG",
        }
        with process(folder / "data", **environment) as running, Client(running.url()) as client:
            metrics = _be_busy(client)
            recovered = _begin_a_long_run(client, folder / "go")
            running.kill()
        (folder / "go").touch()
        with process(folder / "data", **environment) as again, Client(again.url()) as client:
            client.get(f"/threads/{recovered}/runs/{recovered}/join")
            eventually_sync(
                lambda: "everturn_runs_recovered_total 1.0" in client.get("/metrics").text
            )
            again.says("api_request", recovered)
            again.stop()
    lines = [*running.log, *again.log]
    return Busy([json.loads(line) for line in lines], "".join(lines), metrics, recovered)


def _be_busy(client: Client) -> str:
    """Ask by every door; return the metrics of it."""
    ask = {"messages": [{"role": "user", "content": QUESTION}]}
    client.ask(QUESTION)
    client.events("/api/chat/message/stream", {"message": QUESTION})
    client.post("/invoke", json={"input": ask}).raise_for_status()
    client.post("/stream", json={"input": ask, "stream_mode": ["messages"]}).raise_for_status()
    body = {"assistant_id": "agent", "input": ask, "stream_mode": ["messages-tuple"]}
    client.post("/runs/stream", json=body).raise_for_status()
    client.post("/runs/wait", json={"assistant_id": "fails", "input": ask}).raise_for_status()
    assert client.post("/invoke", json={"graph": "fails", "input": ask}).status_code == 500

    thread = client.post("/threads", json={}).json()["thread_id"]
    waits = {"assistant_id": "toy", "input": {"until": "/nowhere/at/all"}}
    run = client.post(f"/threads/{thread}/runs", json=waits).json()["run_id"]
    client.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": True}).raise_for_status()
    return client.get("/metrics").text


def _begin_a_long_run(client: Client, go: Path) -> str:
    thread = str(uuid4())
    asked = {"assistant_id": "toy", "input": {"until": str(go)}, "if_not_exists": "create"}
    client.post(f"/threads/{thread}/runs", json=asked).raise_for_status()
    eventually_sync(lambda: client.get(f"/threads/{thread}").json()["status"] == "busy")
    return thread


def test_each_door_has_the_same_line(busy: Busy) -> None:
    doors = ("/api/chat/message", "/api/chat/message/stream", "/invoke", "/stream", "/runs/stream")
    for door in doors:
        lines = busy.turns(door)
        assert lines, door
        for line in lines:
            assert line.keys() >= FIELDS
            assert line["response_time"] > 0
    streams = [*busy.turns("/api/chat/message/stream"), *busy.turns("/stream")]
    assert all(0 < line["first_token"] <= line["response_time"] for line in streams)


def test_a_turn_that_fell_back_says_so_and_what_it_took(busy: Busy) -> None:
    (line,) = busy.turns("/api/chat/message")
    assert (line["model_used"], line["status"], line["error"]) == ("well", "success", None)
    assert line["fallbacks"] == 2
    assert line["attempts"] == 4  # two that failed, a call of a tool, an answer
    assert line["tokens_used"] == line["tokens_in"] + line["tokens_out"] > 0
    assert line["cost"] >= 0.25
    assert line["session_id"] == line["thread_id"]
    assert line["first_token"] is None


def test_failures_and_cancelled_runs_are_turns(busy: Busy) -> None:
    lines = [line for line in busy.lines if line["event"] == "api_request"]
    failed = [line for line in lines if line["status"] == "error"]
    assert [line["error"] for line in failed] == ["RuntimeError"] * 2
    assert {line["endpoint"] for line in failed} == {"/runs/wait", "/invoke"}
    assert [line["status"] for line in lines].count("cancelled") == 1


def test_all_lines_of_a_run_name_it_in_whichever_process(busy: Busy) -> None:
    for event in ("model_failed", "tool_failed", "run_failed"):
        found = [line for line in busy.lines if line["event"] == event]
        assert found, event
        assert all(line["run_id"] and line["thread_id"] for line in found)
    recovered = [line for line in busy.lines if line.get("thread_id") == busy.recovered]
    assert [line["event"] for line in recovered].count("api_request") == 1


def test_nothing_that_was_said_and_no_key_is_in_the_log(busy: Busy) -> None:
    for word in (QUESTION, ANSWER, ARGUMENT, RAISED, KEY):
        assert word not in busy.text
    traces = [line["exception"] for line in busy.lines if "exception" in line]
    classes = {stack["exc_type"] for trace in traces for stack in trace}
    assert classes >= {"RuntimeError", "KeyError", "ValueError"}
    assert "fails.py" in busy.text  # where it happened


def test_the_metrics_can_be_parsed_and_say_what_happened(busy: Busy) -> None:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(busy.metrics):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    message = "endpoint=/api/chat/message,model=well"
    assert found[f"chat_requests_total{{{message},status=success}}"] == 1
    assert found[f"chat_response_duration_seconds_count{{{message}}}"] == 1
    assert found["everturn_first_token_seconds_count{model=well}"] == 3
    assert found["model_failures_total{failure=bad_request,model=bad}"] >= 1
    assert found["everturn_fallbacks_total{failure=rate_limited}"] >= 1
    assert found["everturn_breaker_state{model=limited}"] == 3
    assert found["model_cost_dollars_total{model=well}"] > 0
    assert found["model_tokens_total{direction=output,model=well}"] > 0
    assert found["tool_calls_total{status=internal,tool=look_up}"] >= 1
    assert found["everturn_checkpoint_seconds_count{operation=put}"] > 0
    assert found["everturn_checkpoint_bytes_total{direction=written}"] > 1000
    assert found["everturn_failed_turns_total{error=RuntimeError}"] == 2
    assert found["everturn_runs_running{}"] == 0
    assert found["everturn_runs_limit{}"] == 500
    assert found["everturn_background_runs_limit{}"] == 10_000
    assert found["everturn_runs_lost_total{}"] == 0
    assert found["everturn_runs_recovered_total{}"] == 0
    assert found["everturn_event_log_bytes{}"] > 0
    assert found["everturn_resident_bytes{}"] > 10_000_000
    assert 3 < found["everturn_open_files{}"] < found["everturn_open_files_limit{}"]
    assert found[f"everturn_processes{{version={version('everturn')}}}"] == 1
    assert found["everturn_cpu_seconds_total{}"] > 0.1
