"""A run's context, for each way to declare one, and what else a node finds in its runtime."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.service import ROOT, Client, serving

PROJECT = ROOT / "tests/projects/runtimes/langgraph.json"
MISSING = "context.who: Field required"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("runtimes") / "data", config=PROJECT) as client:
        yield client


def seen(client: Client, graph: str, **said: Any) -> Any:
    answer = client.post("/runs/wait", json={"assistant_id": graph, "input": {}, **said}).json()
    return answer["seen"] if "seen" in answer else answer["__error__"]["message"]


@pytest.mark.parametrize(
    ("graph", "nothing", "good", "odd"),
    [
        ("typed", None, {"who": "ada", "count": 2}, {"who": "ada", "count": "x", "other": 1}),
        ("typed_ext", None, {"who": "ada", "count": 2}, {"who": "ada", "count": "x", "other": 1}),
        ("none", None, {"who": "ada", "count": 2}, {"who": "ada", "count": "x", "other": 1}),
        ("data", MISSING, "Data(who='ada', count=2)", "context.count: Input should be a valid"),
        (
            "data_defaults",
            "DataDefaults(who='nobody', count=1)",
            "DataDefaults(who='ada', count=2)",
            "context.count: Input should be a valid",
        ),
        ("model", MISSING, "Model(who='ada', count=2)", "context.count: Input should be a valid"),
        (
            "model_defaults",
            "ModelDefaults(who='nobody', count=1)",
            "ModelDefaults(who='ada', count=2)",
            "context.count: Input should be a valid",
        ),
        (  # of a factory: what it takes is known only when it is made
            "made",
            "DataDefaults(who='nobody', count=1)",
            "DataDefaults(who='ada', count=2)",
            "context.count: Input should be a valid",
        ),
    ],
)
def test_a_context_is_what_its_schema_says(
    project: Client, graph: str, nothing: Any, good: Any, odd: Any
) -> None:
    given = {"who": "ada", "count": 2}
    strange = {**given, "count": "x", "other": 1}
    for context, expected in ((None, nothing), ({}, nothing), (given, good), (strange, odd)):
        found = seen(project, graph, context=context)
        if isinstance(found, str):
            assert found.startswith(expected)
        else:
            assert found["context"] == expected
            assert found["configurable"] == (context or {})


def test_a_context_may_be_said_in_the_config(project: Client) -> None:
    config = {"configurable": {"who": "bob", "other": 3}}
    for graph, context in (("typed", {"who": "bob"}), ("data", "Data(who='bob', count=1)")):
        found = seen(project, graph, config=config)
        assert found["context"] == context
        assert found["configurable"] == {"who": "bob", "other": 3}


def test_an_assistants_context_is_joined_with_the_runs(project: Client) -> None:
    body = {"graph_id": "typed", "context": {"who": "ada", "count": 7}}
    assistant = project.post("/assistants", json=body).json()["assistant_id"]
    assert seen(project, assistant)["context"] == {"who": "ada", "count": 7}
    assert seen(project, assistant, context={"count": 2})["context"] == {"who": "ada", "count": 2}


def test_a_schema_that_refuses(project: Client) -> None:
    assert "Extra inputs" in seen(project, "closed", context={"other": 1})
    # A dataclass with a field that pydantic does not know makes itself.
    assert seen(project, "opaque")["context"] == "Opaque(who='nobody', thing=None)"
    assert seen(project, "opaque", context={"who": "a", "other": 1})["kind"] == "Opaque"
    assert seen(project, "opaque", context={"who": "bad"}) == "a bad who"


def test_a_runtime_is_what_langgraphs_server_gives(project: Client) -> None:
    thread_id = project.post("/threads", json={}).json()["thread_id"]
    for graph, task in (("runtime", "node"), ("wrapped", "inner")):
        body = {"assistant_id": graph, "input": {}, "stream_mode": ["custom", "values"]}
        path = f"/threads/{thread_id}/runs/stream"
        events = project.events(path, {**body, "stream_subgraphs": True})
        written = [event.data for event in events if event.name.startswith("custom")]
        assert written == [{"writer": "runtime"}, {"writer": "config"}]
        run_id = events[0].data["run_id"]
        found = events[-1].data["seen"]
        assert (found["store"], found["same_store"]) == ({"value": 1}, True)
        assert found["execution"] == {
            "thread_id": thread_id,
            "run_id": run_id if graph == "runtime" else None,  # LangGraph says none in subgraphs
            "attempt": 1,
            "first": True,
            "task": True,
            "checkpoint": True,
            "ns": task,
        }
        assistant = project.get(f"/assistants/{_own(project, graph)}").json()["assistant_id"]
        assert found["server"] == {"assistant_id": assistant, "graph_id": graph, "user": "None"}
        assert (found["context"], found["previous"], found["drain"]) == (None, None, False)
        assert found["get_runtime"] is True
        assert {"assistant_id", "graph_id", "run_id", "thread_id"} <= set(found["configurable"])
    json.dumps(found)


def _own(client: Client, graph: str) -> str:
    (found,) = client.post("/assistants/search", json={"graph_id": graph}).json()
    return str(found["assistant_id"])
