"""Assistants through LangGraph's own clients."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk._sync.client import SyncLangGraphClient
from langgraph_sdk.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)

from tests.service import Client, serving

GRAPH = """
from operator import add
from typing import Annotated
from langgraph.graph import START, StateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict

class Context(BaseModel):
    model: str = "small"

class State(TypedDict, total=False):
    log: Annotated[list[str], add]

class Input(TypedDict):
    log: list[str]

deep = StateGraph(State)
deep.add_node("leaf", lambda state: {"log": ["leaf"]})
deep.add_edge(START, "leaf")

middle = StateGraph(State)
middle.add_node("deep", deep.compile())
middle.add_node("after", lambda state: {"log": ["after"]})
middle.add_edge(START, "deep")
middle.add_edge("deep", "after")

outer = StateGraph(State, context_schema=Context, input_schema=Input)
outer.add_node("one", lambda state: {"log": ["one"]}, metadata={"shown": True})
outer.add_node("middle", middle.compile())
outer.add_edge(START, "one")
outer.add_conditional_edges("one", lambda state: "middle", ["middle", "__end__"])
"""

OUTER = str(uuid5(UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8"), "outer"))
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assistants")
    (folder / "nested_graphs.py").write_text(GRAPH)
    graphs = {name: f"./nested_graphs.py:{name}" for name in ("outer", "middle")}
    (folder / "langgraph.json").write_text(json.dumps({"graphs": graphs}))
    return folder


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Client]:
    with serving(folder / "data", config=folder / "langgraph.json") as running:
        yield running


@pytest.fixture(scope="module")
def sdk(service: Client) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=str(service.base_url), api_key=None) as client:
        yield client


def test_every_graph_has_an_assistant_from_the_start(
    service: Client, sdk: SyncLangGraphClient
) -> None:
    page = service.post("/assistants/search", json={"metadata": {"created_by": "system"}})
    assert {each["name"]: each["graph_id"] for each in page.json()} == {
        "outer": "outer",
        "middle": "middle",
    }
    assert page.headers["x-pagination-total"] == "2"
    assistant = sdk.assistants.get(OUTER)
    assert assistant["assistant_id"] == OUTER
    assert assistant["metadata"] == {"created_by": "system"}
    assert (assistant["version"], assistant["config"], assistant["context"]) == (1, {}, {})
    assert assistant["created_at"] == assistant["updated_at"]
    assert [each["version"] for each in sdk.assistants.get_versions(OUTER)] == [1]


def test_the_id_is_the_one_that_langgraph_gives(client: Client) -> None:
    known = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
    assert client.get("/assistants/agent").json()["assistant_id"] == known


def test_a_name_or_any_spelling_of_an_id_will_do(service: Client) -> None:
    expected = service.get(f"/assistants/{OUTER}").json()
    for spelling in ("outer", OUTER.upper(), OUTER.replace("-", "")):
        assert service.get(f"/assistants/{spelling}").json() == expected


def test_an_assistant_from_its_beginning_to_its_end(sdk: SyncLangGraphClient) -> None:
    made = sdk.assistants.create(
        "outer",
        {"tags": ["a"], "recursion_limit": 9},
        context={"model": "large"},
        metadata={"user": "ada"},
        name="mine",
        description="for sums",
    )
    assert (made["name"], made["description"], made["version"]) == ("mine", "for sums", 1)
    assert made["context"] == {"model": "large"}
    assert made["config"] == {
        "tags": ["a"],
        "recursion_limit": 9,
        "configurable": {"model": "large"},
    }
    assistant_id = made["assistant_id"]
    assert sdk.assistants.get(assistant_id) == made

    changed = sdk.assistants.update(assistant_id, metadata={"n": 1}, graph_id="middle")
    assert (changed["version"], changed["graph_id"]) == (2, "middle")
    assert changed["metadata"] == {"user": "ada", "n": 1}
    assert (changed["name"], changed["config"]) == ("mine", made["config"])
    assert changed["updated_at"] > changed["created_at"] == made["created_at"]

    versions = sdk.assistants.get_versions(assistant_id)
    assert [each["version"] for each in versions] == [2, 1]
    assert [each["graph_id"] for each in versions] == ["middle", "outer"]
    assert "updated_at" not in versions[0]
    (only,) = sdk.assistants.get_versions(assistant_id, metadata={"n": 1})
    assert only["version"] == 2
    (older,) = sdk.assistants.get_versions(assistant_id, limit=1, offset=1)
    assert older["version"] == 1

    back = sdk.assistants.set_latest(assistant_id, 1)
    assert (back["version"], back["graph_id"], back["metadata"]) == (1, "outer", {"user": "ada"})
    assert sdk.assistants.get(assistant_id) == back
    assert sdk.assistants.update(assistant_id, name="again")["version"] == 3

    sdk.assistants.delete(assistant_id)
    for call in (sdk.assistants.get, sdk.assistants.delete, sdk.assistants.get_versions):
        with pytest.raises(NotFoundError):
            call(assistant_id)


async def test_the_asynchronous_client(service: Client) -> None:
    async with get_client(url=str(service.base_url), api_key=None) as sdk:
        mark = {"mark": str(uuid4())}
        made = [
            await sdk.assistants.create("outer", metadata=mark, name=f"number {n}")
            for n in range(3)
        ]
        page = await sdk.assistants.search(
            metadata=mark, limit=2, sort_by="name", sort_order="asc", response_format="object"
        )
        assert [each["name"] for each in page["assistants"]] == ["number 0", "number 1"]
        assert page["next"] == "2"
        rest = await sdk.assistants.search(
            metadata=mark, limit=2, offset=2, sort_by="name", response_format="object"
        )
        assert [each["name"] for each in rest["assistants"]] == ["number 0"]
        assert rest["next"] is None
        assert await sdk.assistants.count(metadata=mark, name="NUMBER", graph_id="outer") == 3
        assert await sdk.assistants.count(metadata=mark, graph_id="middle") == 0
        first = made[0]["assistant_id"]
        assert (await sdk.assistants.update(first, description="new"))["version"] == 2
        assert len(await sdk.assistants.get_versions(first)) == 2
        assert (await sdk.assistants.set_latest(first, 1))["description"] is None
        assert (await sdk.assistants.get_schemas(first))["graph_id"] == "outer"
        assert set(await sdk.assistants.get_subgraphs(first, recurse=True)) == {
            "middle",
            "middle|deep",
        }
        assert len((await sdk.assistants.get_graph(first))["nodes"]) == 4
        for each in made:
            await sdk.assistants.delete(each["assistant_id"])
        assert await sdk.assistants.count(metadata=mark) == 0


def test_an_id_of_ones_own(sdk: SyncLangGraphClient) -> None:
    mine = str(uuid4())
    first = sdk.assistants.create("outer", assistant_id=mine.upper())
    assert (first["assistant_id"], first["name"]) == (mine, "Untitled")
    with pytest.raises(ConflictError, match=mine):
        sdk.assistants.create("outer", assistant_id=mine)
    again = sdk.assistants.create(
        "middle", assistant_id=mine, if_exists="do_nothing", name="second"
    )
    assert again == first


def test_context_and_configurable_are_the_same(service: Client, sdk: SyncLangGraphClient) -> None:
    made = sdk.assistants.create("outer", {"configurable": {"model": "a"}, "recursion_limit": 5})
    assert made["context"] == {"model": "a"}

    def patched(**changes: Any) -> tuple[Any, Any]:
        path = f"/assistants/{made['assistant_id']}"
        assistant = service.patch(path, json=changes).json()
        assert service.get(path).json() == assistant
        return assistant["config"], assistant["context"]

    b, c = {"model": "b"}, {"model": "c"}
    assert patched(context=b) == ({"recursion_limit": 5, "configurable": b}, b)
    assert patched(config={"configurable": c}) == ({"configurable": c}, c)
    assert patched(config={"tags": ["t"]}) == ({"tags": ["t"], "configurable": c}, c)
    assert patched(config={}) == ({"tags": ["t"], "configurable": c}, c)
    assert patched(context={}) == ({"tags": ["t"]}, {})
    assert patched(config={"configurable": b}, context={}) == ({"configurable": b}, b)
    assert patched(config={"configurable": {}}) == ({}, {})
    with pytest.raises(BadRequestError, match="context"):
        sdk.assistants.create("outer", {"configurable": b}, context=b)
    with pytest.raises(BadRequestError, match="context"):
        sdk.assistants.update(made["assistant_id"], config={"configurable": b}, context=c)


def test_only_what_is_selected(sdk: SyncLangGraphClient) -> None:
    made = sdk.assistants.create("outer", metadata={"selected": True})
    found: Any = sdk.assistants.search(metadata={"selected": True}, select=["name", "version"])
    assert found == [{"name": "Untitled", "version": 1}]
    sdk.assistants.delete(made["assistant_id"])


def test_its_threads_go_along_if_asked(service: Client, sdk: SyncLangGraphClient) -> None:
    made = sdk.assistants.create("outer")["assistant_id"]
    theirs = [
        sdk.threads.create(metadata={"assistant_id": made}, graph_id="outer")["thread_id"]
        for _ in range(3)
    ]
    other = sdk.threads.create(metadata={"assistant_id": NOBODY})["thread_id"]
    refused = service.delete(f"/assistants/{made}?delete_threads=perhaps")
    assert refused.status_code == 422
    sdk.assistants.delete(made, delete_threads=True)
    for each in theirs:
        with pytest.raises(NotFoundError):
            sdk.threads.get(each)
    assert sdk.threads.get(other)["thread_id"] == other

    kept = sdk.assistants.create("outer")["assistant_id"]
    thread = sdk.threads.create(metadata={"assistant_id": kept})["thread_id"]
    sdk.assistants.delete(kept)
    assert sdk.threads.get(thread)["thread_id"] == thread
    with pytest.raises(NotFoundError):
        sdk.assistants.delete(kept, delete_threads=True)
    assert sdk.threads.get(thread)["thread_id"] == thread


def test_what_was_kept_is_there_after_a_restart(folder: Path, tmp_path: Path) -> None:
    def start() -> Any:
        return serving(tmp_path / "data", config=folder / "langgraph.json")

    with start() as service:
        made = service.post("/assistants", json={"graph_id": "outer", "name": "kept"}).json()
        service.patch("/assistants/outer", json={"context": {"model": "large"}})
        assert service.delete("/assistants/middle").status_code == 204
        assert service.get("/assistants/middle").status_code == 404
    with start() as service:
        assert service.get(f"/assistants/{made['assistant_id']}").json() == made
        outer = service.get("/assistants/outer").json()
        assert (outer["version"], outer["context"]) == (2, {"model": "large"})
        assert service.get("/assistants/middle").json()["version"] == 1
        assert service.post("/assistants/count", json={}).json() == 3


def test_a_graph_is_drawn(service: Client, sdk: SyncLangGraphClient) -> None:
    drawn = sdk.assistants.get_graph(OUTER)
    assert drawn["nodes"] == [
        {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}},
        {"id": "one", "type": "runnable", "data": {"name": "one"}, "metadata": {"shown": True}},
        {"id": "middle", "type": "runnable", "data": {"name": "middle"}},
        {"id": "__end__"},
    ]
    assert {"source": "__start__", "target": "one"} in drawn["edges"]
    assert {"source": "one", "target": "middle", "conditional": True} in drawn["edges"]

    def names(xray: Any) -> set[str]:
        nodes = sdk.assistants.get_graph(OUTER, xray=xray)["nodes"]
        return {node["id"] for node in nodes} - {"__start__", "__end__", "one"}

    assert names(xray=False) == {"middle"}
    assert names(xray=1) == {"middle:deep", "middle:after"}
    assert names(xray=2) == names(xray=10**30) == names(xray=True)
    assert names(xray=True) == {"middle:deep:leaf", "middle:after"}
    for wrong in ("0", "-1", "many", "1.5", "²", "true false"):
        refused = service.get(f"/assistants/outer/graph?xray={wrong}")
        assert refused.status_code == 422, wrong
        assert "xray" in refused.json()["detail"]


def test_schemas(sdk: SyncLangGraphClient) -> None:
    schemas: Any = sdk.assistants.get_schemas(OUTER)
    log = {"type": "array", "items": {"type": "string"}, "title": "Log"}
    assert schemas["graph_id"] == "outer"
    assert schemas["input_schema"]["properties"] == {"log": log}
    assert schemas["input_schema"]["required"] == ["log"]
    assert schemas["output_schema"]["properties"] == {"log": log}
    assert schemas["state_schema"]["properties"] == {"log": {**log, "default": None}}
    assert schemas["context_schema"]["properties"]["model"]["default"] == "small"
    assert schemas["config_schema"] == schemas["context_schema"]
    without: Any = sdk.assistants.get_schemas("middle")
    assert (without["context_schema"], without["config_schema"]) == (None, {})


def test_the_schemas_of_the_agent(client: Client) -> None:
    schemas = client.get("/assistants/agent/schemas").json()
    assert "messages" in schemas["input_schema"]["properties"]
    assert "messages" in schemas["state_schema"]["properties"]
    assert "temperature" in schemas["context_schema"]["properties"]


def test_subgraphs(sdk: SyncLangGraphClient) -> None:
    def found(**asked: Any) -> list[str]:
        return list(sdk.assistants.get_subgraphs(OUTER, **asked))

    assert found() == ["middle"]
    assert found(recurse=True) == ["middle", "middle|deep"]
    assert found(namespace="middle") == found(namespace="middle", recurse=True) == ["middle"]
    assert found(namespace="middle|deep") == found(namespace="mid") == []
    assert found(namespace="middle|deep", recurse=True) == ["middle|deep"]
    schemas: Any = sdk.assistants.get_subgraphs(OUTER)["middle"]
    assert "log" in schemas["state_schema"]["properties"]
    assert "graph_id" not in schemas


@pytest.mark.parametrize("rest", ["", "/graph", "/schemas", "/subgraphs", "/subgraphs/middle"])
def test_assistants_that_are_not_there(service: Client, rest: str) -> None:
    unknown = service.get(f"/assistants/{NOBODY}{rest}")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "assistant-not-found")
    for wrong in ("nobody", "1", "%00", f"{NOBODY}0", "ä"):
        answer = service.get(f"/assistants/{wrong}{rest}")
        assert (answer.status_code, answer.json()["type"]) == (422, "invalid-assistant")
        assert "middle" in answer.json()["detail"]  # says which graphs there are


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/versions", {}),
        ("POST", "/latest", {"version": 1}),
    ],
)
def test_changes_of_assistants_that_are_not_there(
    service: Client, method: str, rest: str, body: Any
) -> None:
    assert service.request(method, f"/assistants/{NOBODY}{rest}", json=body).status_code == 404
    assert service.request(method, f"/assistants/nobody{rest}", json=body).status_code == 422


@pytest.mark.parametrize("version", [0, -1, 99, 2**31, 10**30])
def test_versions_that_are_not_there(service: Client, version: int) -> None:
    answer = service.post("/assistants/outer/latest", json={"version": version})
    assert answer.status_code == 404
    assert str(version) in answer.json()["detail"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": 1001},
        {"limit": "x"},
        {"offset": -1},
        {"offset": 10**30},
        {"sort_by": "config"},
        {"sort_order": "ASC"},
        {"select": ["secret"]},
        {"metadata": 5},
        {"metadata": {"a": "\0"}},
        {"graph_id": 5},
        {"name": "x" * 1001},
    ],
    ids=str,
)
def test_searches_that_are_refused(service: Client, wrong: dict[str, Any]) -> None:
    answer = service.post("/assistants/search", json=wrong)
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.json()["detail"]


@pytest.mark.parametrize("path", ["search", "count"])
def test_searches_of_graphs_that_are_not_there(service: Client, path: str) -> None:
    answer = service.post(f"/assistants/{path}", json={"graph_id": "nothing"})
    assert answer.status_code == 404
    assert "outer" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({}, 422),
        ({"graph_id": None}, 422),
        ({"graph_id": "nothing"}, 404),
        ({"graph_id": "\0"}, 404),
        ({"graph_id": "\ud800"}, 422),
        ({"graph_id": "outer", "assistant_id": "mine"}, 422),
        ({"graph_id": "outer", "if_exists": "replace"}, 422),
        ({"graph_id": "outer", "config": []}, 422),
        ({"graph_id": "outer", "config": {"recursion_limit": "x"}}, 422),
        ({"graph_id": "outer", "config": {"recursion_limit": True}}, 422),
        ({"graph_id": "outer", "config": {"recursion_limit": 0}}, 422),
        ({"graph_id": "outer", "config": {"tags": [1]}}, 422),
        ({"graph_id": "outer", "config": {"configurable": []}}, 422),
        ({"graph_id": "outer", "config": {"configurable": {"__fence": 1}}}, 422),
        ({"graph_id": "outer", "context": {"__everturn": {}}}, 422),
        ({"graph_id": "outer", "context": []}, 422),
        ({"graph_id": "outer", "metadata": {"\0": 1}}, 422),
    ],
    ids=str,
)
def test_assistants_that_are_refused(service: Client, wrong: dict[str, Any], status: int) -> None:
    before = service.post("/assistants/count", json={}).json()
    answer = service.post("/assistants", content=json.dumps(wrong))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert service.post("/assistants/count", json={}).json() == before
    if "graph_id" not in wrong or status == 404:
        return
    changes = {k: v for k, v in wrong.items() if k not in {"graph_id", "assistant_id", "if_exists"}}
    if changes:
        assert service.patch("/assistants/outer", json=changes).status_code == status


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b"{bad", "not valid JSON"),
        (b'{"graph_id": "outer", "metadata": {"a": "\\ud800"}}', "metadata"),
        (b'{"graph_id": "outer", "metadata": {"a": NaN}}', "metadata"),
        (b'{"graph_id": "outer", "metadata": ' + b'{"a":' * 200 + b"1" + b"}" * 201, "metadata"),
    ],
)
def test_bodies_that_are_refused(service: Client, raw: bytes, reason: str) -> None:
    answer = service.post("/assistants", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]


def test_bodies_that_are_let_pass(service: Client, sdk: SyncLangGraphClient) -> None:
    nothing = dict.fromkeys(["name", "config", "metadata", "context", "assistant_id", "if_exists"])
    made = service.post("/assistants", json={"graph_id": "outer", **nothing, "unknown": 1}).json()
    assert (made["name"], made["metadata"]) == ("Untitled", {})
    named = sdk.assistants.create("outer", name="a\0b", metadata={"m": "x" * 200_000})
    assert named["name"] == "a\ufffdb"
    assert sdk.assistants.get(named["assistant_id"]) == named
    half = service.post("/assistants", content=b'{"graph_id": "outer", "name": "\\ud800"}')
    assert half.status_code == 422
    as_text = service.post(
        "/assistants/search", content=b'{"limit": 1}', headers={"content-type": "text/plain"}
    )
    assert len(as_text.json()) == 1
    for each in (made, named):
        sdk.assistants.delete(each["assistant_id"])


def test_metadata_that_is_too_large(service: Client, sdk: SyncLangGraphClient) -> None:
    with pytest.raises(Exception, match="too large"):
        sdk.assistants.create("outer", metadata={"m": "x" * 30_000_000})
    with pytest.raises(UnprocessableEntityError):
        sdk.assistants.search(name="x" * 100_000)
    assert service.get("/assistants/outer").status_code == 200
