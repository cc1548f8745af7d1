"""What a factory makes depends on the assistant, wherever its graph is looked at."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.service import ROOT, Client, serving

PROJECT = ROOT / "tests/projects/runtimes/langgraph.json"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("factories") / "data", config=PROJECT) as client:
        yield client


@pytest.fixture(
    params=[{"context": {"kind": "wide"}}, {"config": {"configurable": {"kind": "wide"}}}]
)
def wide(project: Client, request: pytest.FixtureRequest) -> str:
    kind = {"kind": "wide"}
    said = {"context": kind} if request.param == "context" else {"config": {"configurable": kind}}
    body = {"graph_id": "choosy", **said}
    return str(project.post("/assistants", json=body).json()["assistant_id"])


def read(client: Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_its_drawing_schemas_and_subgraphs(project: Client, wide: str) -> None:
    for assistant, node, fields in (
        (wide, "wide", {"seen", "wide"}),
        ("choosy", "plain", {"seen"}),
        (wide, "wide", {"seen", "wide"}),  # nothing was kept of the other
    ):
        drawn = read(project, f"/assistants/{assistant}/graph")
        assert node in {each["id"] for each in drawn["nodes"]}
        inside = read(project, f"/assistants/{assistant}/graph?xray=true")
        assert f"inner:{node}_inner" in {each["id"] for each in inside["nodes"]}
        schemas = read(project, f"/assistants/{assistant}/schemas")
        assert set(schemas["state_schema"]["properties"]) == fields
        assert set(read(project, f"/assistants/{assistant}/subgraphs")) == {"inner"}


def test_its_threads_are_read_and_changed_as_they_were_run(project: Client, wide: str) -> None:
    thread = f"/threads/{project.post('/threads', json={}).json()['thread_id']}"
    body = {"assistant_id": wide, "input": {"wide": 3}, "interrupt_before": ["wide"]}
    project.post(f"{thread}/runs/wait", json=body)
    state = read(project, f"{thread}/state")
    assert (state["values"], state["next"]) == ({"wide": 3}, ["wide"])
    assert read(project, thread)["status"] == "interrupted"
    answer = project.post(f"{thread}/runs/wait", json={"assistant_id": wide, "input": None})
    assert answer.json() == {"wide": 3, "seen": "wide"}
    (newest, *_) = project.post(f"{thread}/history", json={"limit": 1}).json()
    assert newest["values"] == {"wide": 3, "seen": "wide"}
    changed = {"values": {"wide": 9}, "as_node": "wide"}
    assert project.post(f"{thread}/state", json=changed).status_code == 200
    state = read(project, f"{thread}/state")
    assert (state["values"]["wide"], state["next"]) == (9, ["inner"])


def test_what_a_run_chose_itself(project: Client) -> None:
    thread = f"/threads/{project.post('/threads', json={}).json()['thread_id']}"
    config = {"configurable": {"kind": "wide"}}
    body = {"assistant_id": "choosy", "input": {"wide": 3}, "config": config}
    project.post(f"{thread}/runs/wait", json=body)
    assert read(project, f"{thread}/state")["values"] == {"wide": 3, "seen": "wide"}
    run = project.get(f"{thread}/runs").json()[0]["run_id"]
    joined = read(project, f"{thread}/runs/{run}/join")
    assert joined == {"wide": 3, "seen": "wide"}
