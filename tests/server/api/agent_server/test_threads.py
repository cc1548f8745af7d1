"""Threads through LangGraph's own clients."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk._sync.client import SyncLangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from tests.service import Client, serving
from tests.waiting import eventually_sync

GRAPH = """
from operator import add
from typing import Annotated, TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    log: Annotated[list[str], add]
    name: str

builder = StateGraph(State)
builder.add_node("one", lambda state: {"log": ["one"]})
builder.add_node("two", lambda state: {"log": ["two"], "name": "n"})
builder.add_edge(START, "one")
builder.add_edge("one", "two")
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("threads")
    (folder / "steps_graph.py").write_text(GRAPH)
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"steps": "./steps_graph.py:builder"}}))
    with serving(folder / "data", config=config) as running:
        yield running


@pytest.fixture(scope="module")
def sdk(service: Client) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=str(service.base_url), api_key=None) as client:
        yield client


def run(service: Client, thread_id: str, text: str = "in") -> None:
    body = {"graph": "steps", "thread_id": thread_id, "input": {"log": [text]}}
    assert service.post("/invoke", json=body).status_code == 200


def test_a_thread_from_its_beginning_to_its_end(sdk: SyncLangGraphClient) -> None:
    thread = sdk.threads.create(metadata={"user": "ada"}, graph_id="steps")
    assert thread["status"] == "idle"
    assert thread["metadata"] == {"user": "ada", "graph_id": "steps"}
    assert (thread["values"], thread["interrupts"]) == (None, {})
    assert thread["created_at"] == thread["updated_at"]
    assert sdk.threads.get(thread["thread_id"]) == thread
    changed = sdk.threads.update(thread["thread_id"], metadata={"user": "bob", "n": 1})
    assert changed["metadata"] == {"user": "bob", "n": 1, "graph_id": "steps"}
    quiet = sdk.threads.update(thread["thread_id"], metadata={"n": 2}, return_minimal=True)
    assert quiet is None
    sdk.threads.delete(thread["thread_id"])
    with pytest.raises(NotFoundError):
        sdk.threads.get(thread["thread_id"])
    with pytest.raises(NotFoundError):
        sdk.threads.delete(thread["thread_id"])


async def test_the_asynchronous_client(service: Client) -> None:
    async with get_client(url=str(service.base_url), api_key=None) as sdk:
        thread = await sdk.threads.create(metadata={"async": True}, graph_id="steps", ttl=5)
        thread_id = thread["thread_id"]
        with_ttl: Any = await sdk.threads.get(thread_id, include=["ttl"])
        assert with_ttl["ttl"]["ttl_minutes"] == 5
        assert with_ttl["ttl"]["strategy"] == "delete"
        await sdk.threads.update_state(thread_id, {"log": ["a"]}, as_node="two")
        found = await sdk.threads.search(metadata={"async": True}, values={"log": ["a"]})
        assert [each["values"] for each in found] == [{"log": ["a"]}]
        assert await sdk.threads.count(metadata={"async": True}) == 1
        assert (await sdk.threads.get_state(thread_id))["values"] == {"log": ["a"]}
        assert len(await sdk.threads.get_history(thread_id)) == 1
        assert await sdk.threads.prune([thread_id]) == {"pruned_count": 1}


def test_an_id_of_ones_own(sdk: SyncLangGraphClient) -> None:
    mine = str(uuid4())
    first = sdk.threads.create(thread_id=mine.upper(), metadata={"first": True})
    assert first["thread_id"] == mine
    with pytest.raises(ConflictError, match=mine):
        sdk.threads.create(thread_id=mine)
    again = sdk.threads.create(thread_id=mine, if_exists="do_nothing", metadata={"second": True})
    assert again == first


def test_a_chat_session_is_a_thread(client: Client) -> None:
    session = client.ask("Calculate 6 * 7")["session_id"]
    thread = client.get(f"/threads/{session}").json()
    assert (thread["status"], thread["metadata"]["graph_id"]) == ("idle", "agent")
    assert len(thread["values"]["messages"]) == 4
    taken = client.post("/threads", json={"thread_id": session})
    assert taken.status_code == 409
    found = client.post("/threads/search", json={"ids": [session]}).json()
    assert [each["thread_id"] for each in found] == [session]
    asked = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hi"}]}}
    assert client.post(f"/threads/{session}/runs/wait", json=asked).status_code == 200
    assert len(client.get(f"/api/chat/session/{session}").json()["messages"]) == 6
    assert client.delete(f"/threads/{session}").status_code == 204
    assert client.get(f"/api/chat/session/{session}").status_code == 404
    assert client.get(f"/api/chat/history/{session}").status_code == 404


def test_a_thread_is_a_session_that_does_not_expire(client: Client) -> None:
    thread = client.post("/threads", json={}).json()["thread_id"]
    assert client.ask("Calculate 6 * 7", thread)["session_id"] == thread
    session = client.get(f"/api/chat/session/{thread}").json()
    assert (session["expires_at"], len(session["messages"])) == (None, 4)
    assert client.delete(f"/api/chat/session/{thread}").status_code == 204
    assert client.get(f"/threads/{thread}").status_code == 404


def test_values_are_told_while_a_graph_has_some(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = sdk.threads.create(graph_id="steps")["thread_id"]
    run(service, thread_id)
    expected = {"log": ["in", "one", "two"], "name": "n"}
    assert sdk.threads.get(thread_id)["values"] == expected
    (found,) = sdk.threads.search(ids=[thread_id])
    assert found["values"] == expected
    sdk.threads.update(thread_id, metadata={"graph_id": "gone"})
    (found,) = sdk.threads.search(ids=[thread_id])
    assert found["values"] is None


def test_a_page_of_a_search(service: Client, sdk: SyncLangGraphClient) -> None:
    mark = str(uuid4())
    made = [sdk.threads.create(metadata={"mark": mark, "n": n})["thread_id"] for n in range(5)]
    body = {"metadata": {"mark": mark}, "limit": 2, "sort_by": "created_at", "sort_order": "asc"}
    pages = [service.post("/threads/search", json={**body, "offset": n}) for n in (0, 2, 4, 6)]
    assert [each["thread_id"] for page in pages for each in page.json()] == made
    said = [
        (page.headers["x-pagination-total"], page.headers.get("x-pagination-next"))
        for page in pages
    ]
    assert said == [("3", "2"), ("5", "4"), ("5", None), ("6", None)]
    assert sdk.threads.count(metadata={"mark": mark}) == 5
    only: Any
    (only,) = sdk.threads.search(metadata={"mark": mark, "n": 3}, select=["thread_id", "metadata"])
    assert only == {"thread_id": made[3], "metadata": {"mark": mark, "n": 3}}


def test_search_by_status_and_values(service: Client, sdk: SyncLangGraphClient) -> None:
    mark = {"mark": str(uuid4())}
    waits, done, empty = (
        sdk.threads.create(metadata=mark, graph_id="steps")["thread_id"] for _ in range(3)
    )
    sdk.threads.update_state(waits, {"log": ["w"]}, as_node="one")
    sdk.threads.update_state(done, {"log": ["d"], "name": "x"}, as_node="two")

    def ids(**wanted: Any) -> set[str]:
        return {each["thread_id"] for each in sdk.threads.search(metadata=mark, **wanted)}

    assert ids(status="interrupted") == {waits}
    assert ids(status="idle") == {done, empty}
    assert ids(values={"name": "x"}) == {done}
    assert ids(values={"log": ["w"]}, limit=1) == {waits}
    assert ids(values={"log": ["w", "d"]}) == set()
    assert sdk.threads.count(metadata=mark, values={"log": ["d"]}) == 1


def test_extracts(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = sdk.threads.create(metadata={"a": {"b": [1, 2]}}, graph_id="steps")["thread_id"]
    run(service, thread_id)
    paths = {
        "last": "values.log[-1]",
        "first": "values.log[0]",
        "second": "metadata.a.b[1]",
        "beyond": "values.log[99]",
        "nowhere": "values.log.x",
        "all": "metadata.a",
    }
    found: Any
    (found,) = sdk.threads.search(ids=[thread_id], select=["thread_id"], extract=paths)
    assert found == {
        "thread_id": thread_id,
        "extracted": {
            "last": "two",
            "first": "in",
            "second": 2,
            "beyond": None,
            "nowhere": None,
            "all": {"b": [1, 2]},
        },
    }


def test_a_copy_has_the_same_past_and_its_own_future(
    service: Client, sdk: SyncLangGraphClient
) -> None:
    source = sdk.threads.create(metadata={"mine": 1}, graph_id="steps")["thread_id"]
    run(service, source)
    copy: Any = sdk.threads.copy(source)  # type: ignore[func-returns-value]  # it does
    assert copy["thread_id"] != source
    about: Any = sdk.threads.get(source)["metadata"]
    assert copy["metadata"] == about == {**about, "mine": 1, "graph_id": "steps"}
    assert copy["values"] == sdk.threads.get(source)["values"]
    theirs, ours = (sdk.threads.get_history(each) for each in (source, copy["thread_id"]))
    assert [each["values"] for each in ours] == [each["values"] for each in theirs]
    assert {each["checkpoint"]["thread_id"] for each in ours} == {copy["thread_id"]}
    run(service, copy["thread_id"], "more")
    assert len(sdk.threads.get_history(source)) == 4
    with pytest.raises(NotFoundError):
        sdk.threads.copy(str(uuid4()))


def test_what_a_thread_takes(service: Client, sdk: SyncLangGraphClient) -> None:
    thread = sdk.threads.create(graph_id="steps")["thread_id"]

    def takes() -> dict[str, Any]:
        answer = service.get(f"/threads/{thread}/storage")
        assert answer.status_code == 200
        return dict(answer.json())

    nothing = {"rows": 0, "bytes": 0}
    assert takes() == {
        "thread_id": thread,
        "total_bytes": 0,
        "checkpoints": nothing,
        "channel_values": {**nothing, "channels": {}},
        "pending_writes": nothing,
    }
    run(service, thread, str([*range(3000)]))
    found = takes()
    sections = [found[name] for name in ("checkpoints", "channel_values", "pending_writes")]
    assert found["total_bytes"] == sum(each["bytes"] for each in sections)
    assert found["checkpoints"]["rows"] == 4
    channels = found["channel_values"]["channels"]
    assert found["channel_values"]["bytes"] == sum(each["bytes"] for each in channels.values())
    assert channels["log"]["bytes"] > 10_000 > channels["name"]["bytes"] > 0
    sdk.threads.prune([thread], strategy="keep_latest")
    assert takes()["checkpoints"]["rows"] == 1


def test_pruning(service: Client, sdk: SyncLangGraphClient) -> None:
    one, two = (sdk.threads.create(graph_id="steps")["thread_id"] for _ in range(2))
    for each in (one, two):
        run(service, each)
    ids = [one, one, str(uuid4())]
    assert sdk.threads.prune(ids, strategy="keep_latest") == {"pruned_count": 1}
    (left,) = sdk.threads.get_history(one)
    assert left["values"] == {"log": ["in", "one", "two"], "name": "n"}
    assert len(sdk.threads.get_history(two)) == 4
    assert sdk.threads.prune([*ids, two]) == {"pruned_count": 2}
    for each in (one, two):
        with pytest.raises(NotFoundError):
            sdk.threads.get(each)


def test_a_deleted_thread_leaves_nothing_behind(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = sdk.threads.create(graph_id="steps")["thread_id"]
    run(service, thread_id)
    sdk.threads.delete(thread_id)
    assert sdk.threads.create(thread_id=thread_id, graph_id="steps")["values"] is None
    assert sdk.threads.get_history(thread_id) == []


def test_a_thread_can_begin_with_a_state(sdk: SyncLangGraphClient) -> None:
    supersteps: list[dict[str, Any]] = [
        {"updates": [{"values": {"log": ["a"]}, "as_node": "__input__"}]},
        {"updates": [{"values": {"log": ["b"]}, "as_node": "one"}]},
    ]
    thread = sdk.threads.create(graph_id="steps", supersteps=supersteps)
    assert thread["status"] == "interrupted"
    state = sdk.threads.get_state(thread["thread_id"])
    assert state["values"] == {"log": ["b"]}
    assert state["next"] == ["two"]


def test_a_state_that_does_not_fit_makes_no_thread(service: Client) -> None:
    def create(graph: str | None, as_node: str) -> httpx.Response:
        thread_id = str(uuid4())
        updates = [{"values": {"log": ["a"]}, "as_node": as_node}]
        metadata = {"graph_id": graph} if graph else {}
        body = {"thread_id": thread_id, "metadata": metadata, "supersteps": [{"updates": updates}]}
        answer = service.post("/threads", json=body)
        assert service.get(f"/threads/{thread_id}").status_code == 404
        return answer

    assert create("steps", "nowhere").status_code == 400
    assert create("nothing", "one").status_code == 404
    assert create(None, "one").status_code == 400


def test_a_thread_ends_with_its_ttl(data_dir: Path) -> None:
    with serving(data_dir) as client:

        def create(**what: Any) -> str:
            return str(client.post("/threads", json=what).json()["thread_id"])

        short, stays = create(ttl=0.001), create(ttl=60)
        kept = create(
            ttl={"ttl": 0.001, "strategy": "keep_latest"}, metadata={"graph_id": "simple"}
        )
        for text in ("one", "two"):
            body = {"values": {"messages": text}, "as_node": "__start__"}
            assert client.post(f"/threads/{kept}/state", json=body).status_code == 200
        client.post("/invoke", json={"thread_id": short, "input": {"messages": "hello"}})
        states = len(client.get(f"/threads/{kept}/history").json())
    with serving(data_dir) as client:  # looks after them as it starts, and every minute
        eventually_sync(lambda: client.get(f"/threads/{short}").status_code == 404)
        eventually_sync(lambda: len(client.get(f"/threads/{kept}/history").json()) < states)
        (state,) = client.get(f"/threads/{kept}/history").json()
        assert [message["content"] for message in state["values"]["messages"]] == ["one", "two"]
        assert client.get(f"/threads/{stays}").status_code == 200
        assert client.get(f"/threads/{short}").status_code == 404
        assert client.get(f"/api/chat/history/{short}").status_code == 404


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"thread_id": "nope"}, "thread_id"),
        ({"if_exists": "maybe"}, "if_exists"),
        ({"metadata": "text"}, "metadata"),
        ({"metadata": {"a": "nul \0"}}, "metadata"),
        ({"metadata": {"half \ud800": 1}}, "surrogate"),
        ({"ttl": -1}, "ttl"),
        ({"ttl": 1e300}, "ttl"),
        ({"ttl": {"ttl": 1, "strategy": "forget"}}, "strategy"),
        ({"supersteps": [{"updates": []}]}, "updates"),
        ([], "body"),
        ("text", "body"),
        (None, "body"),
    ],
)
def test_a_thread_that_cannot_be_made(service: Client, body: Any, what: str) -> None:
    refused = service.post("/threads", content=json.dumps(body))
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert what in refused.json()["detail"]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 2**63}, "offset"),
        ({"status": "tired"}, "status"),
        ({"sort_by": "metadata"}, "sort_by"),
        ({"sort_order": "up"}, "sort_order"),
        ({"select": ["secrets"]}, "select"),
        ({"ids": ["nope"]}, "ids"),
        ({"extract": {"a": "secrets.x"}}, "secrets.x"),
        ({"extract": {"a": "values..x"}}, "values..x"),
        ({"extract": {"a": "values.x[y]"}}, "values.x[y]"),
        ({"extract": {"a-b": "values.x"}}, "a-b"),
        ({"extract": {f"a{n}": "values.x" for n in range(11)}}, "10"),
    ],
)
def test_a_search_that_means_nothing(service: Client, body: Any, what: str) -> None:
    refused = service.post("/threads/search", json=body)
    assert refused.status_code == 422
    assert what in refused.json()["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 5000])
def test_numbers_that_json_does_not_have(service: Client, number: str) -> None:
    refused = service.post(
        "/threads",
        content=f'{{"metadata": {{"n": {number}}}}}',
        headers={"content-type": "application/json"},
    )
    assert refused.status_code in {400, 422}
    assert refused.json()["detail"]


def test_metadata_nested_without_end(service: Client) -> None:
    for depth in (101, 900, 100_000):
        body = '{"metadata": {"a": ' + "[" * depth + "]" * depth + "}}"
        headers = {"content-type": "application/json"}
        refused = service.post("/threads", content=body, headers=headers)
        assert refused.status_code in {400, 422}
        assert refused.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/copy"),
        ("GET", "/storage"),
        ("GET", "/state"),
        ("POST", "/state"),
        ("GET", "/state/x"),
        ("GET", "/history"),
        ("POST", "/history"),
    ],
)
def test_a_thread_that_is_not_there(service: Client, method: str, path: str) -> None:
    body: Any = {} if method in {"POST", "PATCH"} else None
    absent = service.request(method, f"/threads/{uuid4()}{path}", json=body)
    assert absent.status_code == 404
    assert absent.json()["type"] == "thread-not-found"
    wrong = service.request(method, f"/threads/nope{path}", json=body)
    assert wrong.status_code == 422
    assert "UUID" in wrong.json()["detail"]


def test_the_sdk_raises_what_it_should(sdk: SyncLangGraphClient) -> None:
    with pytest.raises(UnprocessableEntityError, match="limit"):
        sdk.threads.search(limit=0)
