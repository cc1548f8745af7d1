"""A project asks its own server by LangGraph's SDK without a URL, and takes its webhooks."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client

from everturn.server.api.http import loopback
from tests.service import ROOT, Client, read_events, serving
from tests.waiting import PATIENCE, eventually_sync

PROJECT = ROOT / "tests/projects/loopback/langgraph.json"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("loopback") / "data", config=PROJECT) as client:
        yield client


def seen(client: Client, graph: str, **given: Any) -> Any:
    body = {"assistant_id": graph, "input": given or {"by": ""}}
    return client.post("/runs/wait", json=body).json()["seen"]


@pytest.mark.parametrize(
    ("way", "answer"),
    [
        ("by_import", [0, 1]),
        ("by_tool", [0, 1, 2, 3]),
        ("by_stream", [0, 1, 2]),
        ("by_missing", 404),
        ("by_join", [0, 1]),
        ("by_thread_stream", 10),
        ("by_store", {"a": 1}),
    ],
)
def test_nodes_and_tools_ask_the_service(project: Client, way: str, answer: Any) -> None:
    assert seen(project, "caller", by=way) == answer


def test_a_factory_and_a_loop_of_its_own(project: Client) -> None:
    assert seen(project, "made") == "worker"
    assert seen(project, "sync") == [0, 1, 2]


def test_routes_of_its_own_ask_the_service(project: Client) -> None:
    assert project.get("/count/1").json() == [0]  # by a client made at import
    assert project.get("/count/2").json() == [0, 1]  # by one made in the lifespan
    assert project.get("/started").json() > 0  # in the lifespan itself


def test_streams_come_as_they_are_made_and_end_when_their_reader_leaves(project: Client) -> None:
    left: list[int] = sys.modules["worker"].left
    # Each number is followed by a pause longer than any patience.
    with project.stream("GET", "/numbers", params={"to": 77, "pause": 10 * PATIENCE}) as response:
        lines = response.iter_lines()
        assert next(lines) == "0"
        assert 77 not in left
    eventually_sync(lambda: 77 in left)


def test_only_the_process_itself_is_inside(project: Client) -> None:
    said = {"everturn.in_process": "true", "x-everturn-in-process": "1"}
    answer = project.get("/inside", headers=said).json()
    assert answer == {"here": False, "asked": {"here": True, "asked": None}}


def test_services_in_one_process_do_not_mix(project: Client, tmp_path: Path) -> None:
    with serving(tmp_path / "data", config=PROJECT) as other:
        for ours, theirs in ((project, other), (other, project)):
            _, thread_id = seen(ours, "caller", by="by_threads")
            assert ours.get(f"/threads/{thread_id}").status_code == 200
            assert theirs.get(f"/threads/{thread_id}").status_code == 404
    assert seen(project, "caller", by="by_import") == [0, 1]


def test_a_webhook_that_is_a_path(project: Client) -> None:
    body = {"assistant_id": "worker", "input": {"to": 1}}
    assert project.post("/runs/wait", json={**body, "webhook": "/done?a=b"}).status_code == 200
    (received,) = eventually_sync(lambda: project.get("/received").json())
    assert received["url"].endswith("/done?a=b")
    assert received["body"]["values"] == {"to": 1, "counted": [0]}
    assert received["headers"]["webhook-id"].startswith("msg_")
    # Not the service's own routes, nor one that takes no POST, nor another host.
    for webhook in ("/assistants/search", "/received", "/nowhere", "//127.0.0.1/done", "done"):
        refused = project.post("/runs/wait", json={**body, "webhook": webhook})
        assert refused.status_code == 422, webhook
        assert refused.json()["detail"].startswith("webhook: ")


def test_a_remote_graph_of_the_service_itself(project: Client) -> None:
    url = str(project.base_url)
    thread = project.post("/threads", json={}).json()["thread_id"]
    for path in ("/runs", f"/threads/{thread}/runs"):
        for configurable in ({"url": url}, {}):
            config = {"configurable": configurable}
            body = {"assistant_id": "itself", "input": {"to": 2}, "config": config}
            answer = project.post(f"{path}/wait", json=body)
            assert answer.json() == {"to": 2, "counted": [0, 1]}
            refused = project.post(f"{path}/wait", json={**body, "assistant_id": "itself_as_node"})
            assert "neither would end" in refused.json()["__error__"]["message"]


def test_what_it_streams_comes_through(project: Client) -> None:
    body = {"assistant_id": "worker", "input": {"to": 2}, "stream_mode": ["custom"]}
    with project.stream("POST", "/runs/stream", json=body) as response:
        names = [event.name for event in read_events(response)]
    assert names == ["metadata", "custom", "custom"]


async def test_langgraphs_own_server_is_never_imported(
    project: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "langgraph_api"
    package.mkdir()
    for module in ("__init__", "server", "asgi_transport"):
        (package / f"{module}.py").write_text("raise RuntimeError('the server starts')")
    monkeypatch.syspath_prepend(tmp_path)
    client = get_client()
    assert await client.assistants.count(graph_id="worker") == 1  # of the only service there is
    assert "langgraph_api" not in sys.modules


async def test_without_a_service(project: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client = get_client()
    monkeypatch.setattr(loopback, "_open", [])
    with pytest.raises(httpx.ConnectError, match="name a URL"):
        await client.assistants.search()


async def test_a_client_that_is_in_a_hurry(project: Client) -> None:
    client = get_client(timeout=0.05)
    with pytest.raises(httpx.ReadTimeout):
        await client.runs.wait(
            None, "worker", input={"to": 1, "pause": 10 * PATIENCE}, on_disconnect="cancel"
        )
