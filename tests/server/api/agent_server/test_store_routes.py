"""The store over HTTP: LangGraph's own SDK, a graph that remembers, and bad input."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import LangGraphClient, SyncStoreClient

from tests.service import Client, serving

GRAPH = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime

class State(TypedDict, total=False):
    user: str
    said: str
    known: list[str]

async def remember(state: State, runtime: Runtime) -> State:
    assert runtime.store is not None
    place = ("memories", state["user"])
    await runtime.store.aput(place, state["said"], {"text": state["said"]})
    return {}

def recall(state: State, runtime: Runtime) -> State:
    assert runtime.store is not None
    found = runtime.store.search(("memories", state["user"]), query="cats", limit=2)
    return {"known": [item.value["text"] for item in found]}

graph = StateGraph(State).add_node(remember).add_node(recall)
graph.add_edge(START, "remember").add_edge("remember", "recall")

def embed(texts):
    words = ["cats", "dogs", "bread"]
    return [[float(word in text) for word in words] for text in texts]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "remembers.py").write_text(GRAPH)
    config = tmp_path / "langgraph.json"
    index = {"dims": 3, "embed": "./remembers.py:embed", "fields": ["text"]}
    graphs = {"remembers": "./remembers.py:graph"}
    config.write_text(json.dumps({"graphs": graphs, "store": {"index": index}}))
    return config


@pytest.fixture
async def sdk(client: Client) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=str(client.base_url)) as opened:
        yield opened


async def test_the_async_sdk(sdk: LangGraphClient) -> None:
    store = sdk.store
    await store.put_item(["sdk", "async"], key="a/b ?", value={"n": 1}, index=False, ttl=5)
    await store.put_item(["sdk", "async", "deep"], key="k", value={"n": 2})
    item = await store.get_item(["sdk", "async"], key="a/b ?", refresh_ttl=False)
    assert item["value"] == {"n": 1}
    assert item["namespace"] == ["sdk", "async"]
    assert set(item) == {"namespace", "key", "value", "created_at", "updated_at"}
    found = await store.search_items(["sdk"], filter={"n": {"$gte": 2}}, limit=5, refresh_ttl=True)
    assert [(each["key"], each["value"], each.get("score", 0)) for each in found["items"]] == [
        ("k", {"n": 2}, None)
    ]
    assert len((await store.search_items(["sdk", "async"], query="cats"))["items"]) == 2
    listed = await store.list_namespaces(prefix=["sdk"], suffix=["deep"], max_depth=3)
    assert listed["namespaces"] == [["sdk", "async", "deep"]]
    await store.delete_item(["sdk", "async"], key="a/b ?")
    assert await store.get_item(["sdk", "async"], key="a/b ?") is None


def test_the_sync_sdk(client: Client) -> None:
    with get_sync_client(url=str(client.base_url)) as sdk:
        use(sdk.store)


def use(store: SyncStoreClient) -> None:
    store.put_item(["sdk", "sync"], key="k", value={"text": "é 😀", "n": None})
    assert store.get_item(["sdk", "sync"], key="k")["value"] == {"text": "é 😀", "n": None}
    assert len(store.search_items(["sdk", "sync"])["items"]) == 1
    assert store.list_namespaces(prefix=["sdk", "sync"])["namespaces"] == [["sdk", "sync"]]
    store.delete_item(["sdk", "sync"], key="k")
    assert store.get_item(["sdk", "sync"], key="k") is None


def test_a_graph_remembers_across_threads(data_dir: Path, project: Path) -> None:
    with serving(data_dir, config=project) as client:

        def say(said: str, thread: str) -> list[str]:
            body = {
                "graph": "remembers",
                "thread_id": thread,
                "input": {"user": "ada", "said": said},
            }
            answer = client.post("/invoke", json=body)
            assert answer.status_code == 200, answer.text
            known: list[str] = answer.json()["known"]
            return known

        assert say("dogs and bread", "one") == ["dogs and bread"]
        assert say("I like cats", "two") == ["I like cats", "dogs and bread"]
        found = search(client, namespace_prefix=["memories"], query="bread", limit=1)
        assert found["items"][0]["value"] == {"text": "dogs and bread"}
        assert found["items"][0]["score"] == pytest.approx(0.7071, abs=1e-3)
    with serving(data_dir, config=project) as client:  # and across restarts
        assert len(search(client, namespace_prefix=["memories", "ada"])["items"]) == 2


def search(client: Client, **body: Any) -> Any:
    response = client.post("/store/items/search", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def item(**others: Any) -> dict[str, Any]:
    return {"namespace": ["bad"], "key": "k", "value": {"n": 1}, **others}


PUTS: list[tuple[Any, int, str]] = [
    (item(namespace=[]), 400, "Namespace cannot be empty"),
    (item(namespace=["langgraph", "x"]), 400, "langgraph"),
    (item(namespace=["nul\0"]), 422, "U+0000"),
    (item(namespace=["a.b"]), 422, "without periods"),
    (item(namespace=["a", ""]), 422, "non-empty"),
    (item(namespace="a.b"), 422, "namespace"),
    (item(namespace=[1]), 422, "namespace"),
    (item(key=3), 422, "key"),
    (item(key="\0"), 422, "U+0000"),
    (item(key="x" * 900), 400, "at most 800 bytes"),
    (item(value=[1]), 422, "value"),
    (item(value=None), 422, "value"),
    (item(ttl="x"), 422, "ttl"),
    (item(ttl=-1), 422, "ttl"),
    (item(index=True), 422, "index"),
    (item(index="text"), 422, "index"),
    ({}, 422, "namespace"),
    ([], 422, "body"),
]


@pytest.mark.parametrize(("body", "status", "says"), PUTS)
def test_what_cannot_be_put(client: Client, body: Any, status: int, says: str) -> None:
    refused(client.put("/store/items", json=body), status, says)


SEARCHES: list[tuple[dict[str, Any], int, str]] = [
    ({"namespace_prefix": ["a.b"]}, 422, "without periods"),
    ({"namespace_prefix": "a"}, 422, "namespace_prefix"),
    ({"filter": {"n": {"$regex": "x"}}}, 400, "Unsupported operator: $regex"),
    ({"filter": [1]}, 422, "filter"),
    ({"limit": -1}, 422, "limit"),
    ({"limit": "1"}, 422, "limit"),
    ({"limit": None}, 422, "limit"),
    ({"limit": 2**63}, 422, "limit"),
    ({"offset": -1}, 422, "offset"),
    ({"query": 1}, 422, "query"),
]


@pytest.mark.parametrize(("body", "status", "says"), SEARCHES)
def test_what_cannot_be_searched(
    client: Client, body: dict[str, Any], status: int, says: str
) -> None:
    refused(client.post("/store/items/search", json=body), status, says)


def test_other_bad_requests(client: Client) -> None:
    refused(client.get("/store/items?namespace=a..b&key=k"), 422, "non-empty")
    refused(client.get("/store/items?key=k"), 422, "non-empty")
    refused(client.get("/store/items?namespace=a"), 400, "Key is required")
    refused(client.get("/store/items?namespace=a&key=k&refresh_ttl=maybe"), 422, "refresh_ttl")
    refused(client.request("DELETE", "/store/items"), 422, "body")
    refused(client.request("DELETE", "/store/items", json={"namespace": ["a"]}), 422, "key")
    refused(client.post("/store/namespaces", json={"prefix": ["a.b"]}), 422, "without periods")
    refused(client.post("/store/namespaces", json={"max_depth": -1}), 422, "max_depth")
    refused(client.put("/store/items", content=b"{"), 422, "body")


def refused(response: httpx.Response, status: int, says: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert says in response.json()["detail"]


def test_answers_as_langgraphs_server_gives_them(client: Client) -> None:
    put = client.put("/store/items", json=item(namespace=["as"], extra="ignored"))
    assert (put.status_code, put.content) == (204, b"")
    missing = client.get("/store/items?namespace=as&key=missing")
    assert (missing.status_code, missing.json()) == (200, None)
    for _ in range(2):
        body = {"namespace": ["as"], "key": "k"}
        deleted = client.request("DELETE", "/store/items", json=body)
        assert (deleted.status_code, deleted.content) == (204, b"")
    assert search(client, namespace_prefix=["as"], limit=0) == {"items": []}
    assert search(client, namespace_prefix=None, filter=None)["items"] is not None
    listed = client.post("/store/namespaces", json={"prefix": ["as"]})
    assert listed.json() == {"namespaces": []}


STORES = {
    "path": ("async def own():\n    return 5\n", {"path": "./own.py:own"}, "is a int"),
    "index": ("", {"index": {"dims": 0, "embed": "x"}}, "store.index.dims"),
    "embed": ("", {"index": {"dims": 3, "embed": "./own.py:nothing"}}, "has no 'nothing'"),
    "provider": ("", {"index": {"dims": 3, "embed": "openai:x"}}, "langchain"),
    "ttl": ("", {"ttl": {"default_ttl": "soon"}}, "store.ttl.default_ttl"),
}


@pytest.mark.parametrize("case", STORES)
async def test_a_store_entry_that_cannot_be_used(tmp_path: Path, case: str) -> None:
    from everturn.checkpoints.errors import CheckpointsError
    from everturn.server.errors import ConfigError
    from everturn.server.projects.project import load_project
    from everturn.server.projects.store import load_store

    code, entry, says = STORES[case]
    (tmp_path / "own.py").write_text(code)
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"store": entry}))
    with pytest.raises((ConfigError, CheckpointsError), match=says):
        async with load_store(load_project(config))(None, None):
            pass


def test_ones_own_store(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "own_store.py").write_text(
        GRAPH + "from contextlib import asynccontextmanager\n"
        "from langgraph.store.memory import InMemoryStore\n"
        "@asynccontextmanager\nasync def own():\n"
        "    store = InMemoryStore()\n"
        "    await store.aput(('own',), 'k', {'mine': True})\n"
        "    yield store\n"
    )
    config = tmp_path / "langgraph.json"
    graphs = {"remembers": "./own_store.py:graph"}
    config.write_text(json.dumps({"graphs": graphs, "store": {"path": "./own_store.py:own"}}))
    with serving(data_dir, config=config) as client:
        found = client.get("/store/items?namespace=own&key=k").json()
        assert found["value"] == {"mine": True}
