"""Two users of one service: what is one's own, and that somebody else's is nowhere."""

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

from everturn.server.app import create_app
from everturn.server.settings import Settings
from tests.server.access.project import PROJECT, alice, bob, data, headers, url, user_of

__all__ = ["alice", "bob", "data", "url"]

Json = dict[str, Any]

OPEN = {
    "/ok",
    "/ready",
    "/info",
    "/metrics",
    "/docs",
    "/docs/oauth2-redirect",
    "/redoc",
    "/openapi.json",
    "/",
    "/page/config.json",
    "/page/{path:path}",
}
RUN: Json = {"assistant_id": "agent", "input": {"messages": "Hi"}}
SOON: Json = {**RUN, "schedule": "0 0 1 1 *"}
BODIES: dict[str, Any] = {
    "/assistants": {"graph_id": "agent"},
    "/assistants/{assistant_id}/latest": {"version": 1},
    "/invoke": {"graph": "plain", "input": {"words": "x"}},
    "/stream": {"graph": "plain", "input": {"words": "x"}},
    "/threads/{thread_id}/runs": RUN,
    "/threads/{thread_id}/runs/wait": RUN,
    "/threads/{thread_id}/runs/stream": RUN,
    "/threads/{thread_id}/runs/crons": SOON,
    "/threads/{thread_id}/commands": {"id": 1, "method": "run.start", "params": RUN},
    "/threads/{thread_id}/stream/events": {"channels": ["lifecycle"]},
    "/threads/{thread_id}/state": {"values": {"until": ""}},
    "/threads/{thread_id}/state/checkpoint": {"checkpoint": {"checkpoint_id": str(uuid4())}},
    "/runs/crons/{cron_id}": {"enabled": False},
    "/api/chat/session/{session_id}/resume": {"answer": "yes"},
    "/api/chat/session/{session_id}/resume/stream": {"answer": "yes"},
}


def routes() -> list[tuple[str, str]]:
    """Every method and path that the service answers; a HEAD is answered as its GET."""

    def within(router: Any) -> Iterator[tuple[str, str]]:
        for route in router.routes:
            if hasattr(route, "path"):
                methods = getattr(route, "methods", None)
                if methods is None:  # refuses the methods that a path does not have
                    continue
                yield from ((method, route.path) for method in methods - {"HEAD"})
            else:  # FastAPI keeps a router that was included as it is
                yield from within(route.original_router)

    return sorted(set(within(create_app(Settings.read({"config": PROJECT})))))


@pytest.fixture(scope="module")
def things(alice: httpx.Client) -> Json:
    return one_of_everything(alice)


def one_of_everything(alice: httpx.Client) -> Json:
    """Make one of everything, alice's; the session waits for an answer."""
    assistant = alice.post("/assistants", json={"graph_id": "agent"}).json()
    thread = alice.post("/threads", json={}).json()["thread_id"]
    reported = {**RUN, "webhook": "https://example.org/hook"}
    run = alice.post(f"/threads/{thread}/runs", json=reported).json()
    alice.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    session = alice.post("/api/chat/message", json={"message": "Hi"}).json()
    asking = {"graph": "agent", "thread_id": session["session_id"], "input": {"asks": True}}
    assert "__interrupt__" in alice.post("/invoke", json=asking).json()
    cron = alice.post("/runs/crons", json=SOON).json()
    alice.put("/store/items", json={"namespace": ["n"], "key": "k", "value": {"v": 1}})
    kept = alice.post("/api/memories", json={"text": "alice likes tea"}).json()
    return {
        "assistant_id": assistant["assistant_id"],
        "memory_id": kept["memory"]["id"],
        "thread_id": thread,
        "run_id": run["run_id"],
        "session_id": session["session_id"],
        "chat_run": session["run_id"],
        "cron_id": cron["cron_id"],
        "checkpoint_id": alice.get(f"/threads/{thread}/state").json()["checkpoint_id"],
        "namespace": "none",
    }


def test_nobody_comes_to_a_route_without_a_user(url: str) -> None:
    assert len(routes()) > 70
    with user_of(url, None) as nobody:
        for method, path in routes():
            place = path.replace("{", "").replace("}", "")
            answer = nobody.request(method, place, json={})
            if path in OPEN:
                assert answer.status_code in {200, 404, 405}, (method, path)
            else:
                assert answer.status_code == 401, (method, path)
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["detail"] == "Say who you are."
                assert answer.headers["x-hint"] == "alice"
                assert answer.headers["www-authenticate"] == "Bearer"
        assert nobody.get("/nothing/here").status_code == 401
        assert nobody.get("/mine").json() == {"user": None}  # as LangGraph's server has it


# For whom it is there, this has no end, or nothing to end.
ENDLESS = {
    "/threads/{thread_id}/stream",
    "/threads/{thread_id}/stream/events",
    "/threads/{thread_id}/runs/{run_id}/cancel",
}
# These find runs on threads of their own.
STATELESS = {"/runs/{run_id}", "/runs/{run_id}/join", "/runs/{run_id}/stream"}


def test_somebody_elses_is_not_there_whatever_the_route(
    bob: httpx.Client, alice: httpx.Client
) -> None:
    things = one_of_everything(alice)
    asked = []
    for method, path in routes():
        if "{" not in path or path in {"/docs/{asset}", "/page/{path:path}"}:
            continue
        ids = {**things, "run_id": things["chat_run"]} if "{session_id}" in path else things
        answer = bob.request(method, path.format(**ids), json=BODIES.get(path, {}))
        assert answer.status_code == 404, (method, path, answer.text)
        assert "alice" not in answer.text
        asked.append((method, path.format(**ids), BODIES.get(path, {}), path))
    assert len(asked) >= 40
    thread = alice.get(f"/threads/{things['thread_id']}").json()
    assert thread["metadata"]["owner"] == "alice"
    assert len(alice.get(f"/threads/{things['thread_id']}/runs").json()) == 1
    # And whose it is finds all of it: to be deleted at the end.
    for method, place, body, path in sorted(asked, key=lambda each: each[0] == "DELETE"):
        if path not in ENDLESS | STATELESS and (method, path) != ("DELETE", "/threads/{thread_id}"):
            answer = alice.request(method, place, json=body)
            there = answer.status_code < 400 or answer.json()["type"] == "nothing-waits"
            assert there, (method, path, answer.text)


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/threads/search", {}),
        ("/threads/search", {"metadata": {"owner": "alice"}}),
        ("/threads/search", {"values": {"seen": {"identity": "alice"}}}),
        ("/runs/crons/search", {}),
    ],
)
def test_a_search_finds_ones_own(
    path: str, body: Json, alice: httpx.Client, bob: httpx.Client
) -> None:
    assert bob.post(path, json=body).json() == []
    assert alice.post(path, json=body).json() != []
    count = path.replace("search", "count")
    assert bob.post(count, json=body).json() == 0
    assert alice.post(count, json=body).json() == len(alice.post(path, json=body).json())


@pytest.mark.usefixtures("things")
def test_webhooks_are_ones_own(alice: httpx.Client, bob: httpx.Client) -> None:
    assert bob.get("/api/webhooks").json() == []
    assert alice.get("/api/webhooks").json() != []


def test_assistants_are_found_by_their_owner_and_those_of_graphs_by_everybody(
    alice: httpx.Client, bob: httpx.Client, things: Json
) -> None:
    found = {user: user.post("/assistants/search", json={}).json() for user in (alice, bob)}
    assert len(found[bob]) == 3
    assert bob.post("/assistants/count", json={}).json() == 3
    ids = {user: {each["assistant_id"] for each in found[user]} for user in found}
    assert things["assistant_id"] in ids[alice] - ids[bob]
    # The assistant of a graph can be run by everybody, another one by those who may read it.
    for user, status in ((alice, 200), (bob, 404)):
        thread = user.post("/threads", json={}).json()["thread_id"]
        body = {**RUN, "assistant_id": things["assistant_id"]}
        assert user.post(f"/threads/{thread}/runs/wait", json=body).status_code == status
        assert user.post(f"/threads/{thread}/runs/wait", json=RUN).status_code == 200
        user.delete(f"/threads/{thread}")


def test_sessions_and_their_history_are_ones_own(
    alice: httpx.Client, bob: httpx.Client, things: Json
) -> None:
    mine = alice.get("/api/chat/sessions").json()
    assert things["session_id"] in {each["session_id"] for each in mine["sessions"]}
    assert bob.get("/api/chat/sessions").json() == {"sessions": [], "total": 0}
    for door in ("/api/chat/message", "/api/chat/message/stream"):
        body = {"message": "Hi", "session_id": things["session_id"]}
        assert bob.post(door, json=body).status_code == 404
    (turn,) = alice.get(f"/api/chat/history/{things['session_id']}").json()
    assert turn["assistant_message"] == "Hello Alice A."
    assert turn["metadata"].keys() == {"graph", "route"}


def test_the_history_of_a_session_that_is_gone_stays_with_its_owner(
    alice: httpx.Client, bob: httpx.Client, data: Path
) -> None:
    session = alice.post("/api/chat/message", json={"message": "Hi"}).json()["session_id"]
    path = f"/api/chat/history/{session}"
    end_of(data, session)
    assert alice.get(path).json()[0]["user_message"] == "Hi"
    assert bob.get(path).status_code == 404
    assert bob.delete(f"/api/chat/session/{session}").status_code == 404
    assert bob.get(f"/api/chat/session/{session}/export").status_code == 404
    assert bob.get("/api/chat/sessions?status=ended").json()["total"] == 0
    # Nobody else takes its id, and reads it then.
    body = {"graph": "agent", "thread_id": session, "input": {"until": ""}}
    assert bob.post("/invoke", json=body).status_code == 404
    assert bob.post("/threads", json={"thread_id": session}).status_code == 409
    assert alice.delete(f"/api/chat/session/{session}").status_code == 204
    assert alice.get(path).status_code == 404


def end_of(data: Path, session: str) -> None:
    """End a session, as the sweep does."""
    with closing(sqlite3.connect(data / "everturn.db")) as database, database:
        ended = "UPDATE threads SET kind = 'ended' WHERE thread_id = ?"
        assert database.execute(ended, (session,)).rowcount == 1


def test_invoke_and_stream_on_somebody_elses_thread(
    bob: httpx.Client, alice: httpx.Client, things: Json
) -> None:
    body = {"graph": "agent", "thread_id": things["thread_id"], "input": {"until": ""}}
    for door in ("/invoke", "/stream"):
        assert bob.post(door, json=body).status_code == 404
    own = {**body, "thread_id": f"of-bob-{uuid4()}"}
    assert bob.post("/invoke", json=own).json()["seen"]["identity"] == "bob"
    assert alice.post("/invoke", json=own).status_code == 404
    assert bob.post("/invoke", json=own).status_code == 200


def test_several_at_once_are_only_ones_own(
    bob: httpx.Client, alice: httpx.Client, things: Json
) -> None:
    ids = [things["thread_id"]]
    for strategy in ("keep_latest", "delete"):
        body = {"thread_ids": ids, "strategy": strategy}
        assert bob.post("/threads/prune", json=body).json() == {"pruned_count": 0}
    named = {"thread_id": things["thread_id"], "run_ids": [things["run_id"]]}
    assert bob.post("/runs/cancel", json=named).status_code == 404
    taken = {"thread_id": things["thread_id"], "if_exists": "do_nothing"}
    assert bob.post("/threads", json=taken).status_code == 409
    assert alice.post("/threads", json=taken).status_code == 200


def test_cancelling_all_ends_ones_own(
    bob: httpx.Client, alice: httpx.Client, tmp_path: Path
) -> None:
    thread = alice.post("/threads", json={}).json()["thread_id"]
    body = {**RUN, "input": {"until": str(tmp_path / "never")}}
    run = alice.post(f"/threads/{thread}/runs", json=body).json()["run_id"]
    assert bob.post("/runs/cancel", json={"status": "all"}).status_code == 204
    path = f"/threads/{thread}/runs/{run}"
    assert alice.get(path).json()["status"] in {"pending", "running"}
    assert alice.post("/runs/cancel", json={"status": "all"}).status_code == 204
    alice.get(f"{path}/join")
    assert alice.get(path).json()["status"] == "interrupted"


def test_a_run_on_a_thread_of_its_own_is_joined_by_its_owner(
    bob: httpx.Client, alice: httpx.Client, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    body = {**RUN, "input": {"until": str(go)}}
    run = alice.post("/runs", json=body).json()["run_id"]
    assert bob.get(f"/runs/{run}/stream").status_code == 404
    go.touch()
    whole = alice.get(f"/runs/{run}/stream", headers={"Last-Event-ID": "-1"})
    assert "Hello Alice A." in whole.text


def test_store_items_are_where_the_rule_puts_them(bob: httpx.Client, alice: httpx.Client) -> None:
    item = {"namespace": ["notes"], "key": "one"}
    assert alice.put("/store/items", json={**item, "value": {"v": 1}}).status_code == 204
    where = {"namespace": "notes", "key": "one"}
    assert alice.get("/store/items", params=where).json()["namespace"] == ["alice", "notes"]
    assert bob.get("/store/items", params=where).json() is None
    assert bob.get("/store/items", params={**where, "namespace": "alice.notes"}).json() is None
    assert bob.post("/store/items/search", json={}).json() == {"items": []}
    found = alice.post("/store/items/search", json={"namespace_prefix": ["notes"]}).json()
    assert [each["key"] for each in found["items"]] == ["one"]
    assert bob.post("/store/namespaces", json={}).json() == {"namespaces": []}
    assert ["alice", "notes"] in alice.post("/store/namespaces", json={}).json()["namespaces"]
    bob.request("DELETE", "/store/items", json=item)
    assert alice.get("/store/items", params=where).json()["value"] == {"v": 1}
    alice.request("DELETE", "/store/items", json=item)
    assert alice.get("/store/items", params=where).json() is None


def test_what_a_rule_adds_is_stored_whoever_says_otherwise(alice: httpx.Client) -> None:
    thread = alice.post("/threads", json={"metadata": {"owner": "bob", "more": 1}}).json()
    assert thread["metadata"] == {"owner": "alice", "more": 1}
    path = f"/threads/{thread['thread_id']}"
    changed = alice.patch(path, json={"metadata": {"owner": "bob"}}).json()
    assert changed["metadata"]["owner"] == "alice"
    run = alice.post(f"{path}/runs", json={**RUN, "metadata": {"owner": "bob"}}).json()
    assert run["metadata"]["owner"] == "alice"
    copied = alice.post(f"{path}/copy").json()
    assert copied["metadata"]["owner"] == "alice"
    assistant = {"graph_id": "agent", "metadata": {"owner": "bob"}}
    assert alice.post("/assistants", json=assistant).json()["metadata"] == {"owner": "alice"}
    new = {**RUN, "if_not_exists": "create"}
    other = str(uuid4())
    assert alice.post(f"/threads/{other}/runs/wait", json=new).status_code == 200
    assert alice.get(f"/threads/{other}").json()["metadata"]["owner"] == "alice"


def test_what_a_rule_forbids_is_403(url: str) -> None:
    with user_of(url, "carol") as carol:
        answer = carol.post("/runs/crons", json=SOON)
        assert answer.status_code == 403
        assert answer.json()["type"] == "forbidden"
        assert carol.post("/runs/wait", json=RUN).json()["seen"]["permissions"] == []


def test_a_cron_knows_whose_it_is(alice: httpx.Client, things: Json) -> None:
    cron = alice.get(f"/runs/crons/{things['cron_id']}").json()
    assert cron["user_id"] == "alice"
    assert cron["metadata"] == {"owner": "alice"}
    assert "caller" not in json.dumps(cron)


@pytest.fixture
async def clients(url: str) -> AsyncIterator[dict[str, LangGraphClient]]:
    users = {name: get_client(url=url, headers=headers(name)) for name in ("alice", "bob")}
    yield users
    for client in users.values():
        await client.aclose()


async def test_two_users_with_langgraphs_own_client(clients: dict[str, LangGraphClient]) -> None:
    alice, bob = clients["alice"], clients["bob"]
    thread = await alice.threads.create(metadata={"topic": "t"})
    state = await alice.runs.wait(thread["thread_id"], "agent", input={"messages": "Hi"})
    assert isinstance(state, dict)
    assert state["seen"]["runtime"] == "alice"
    assert await bob.threads.search(metadata={"topic": "t"}) == []
    assert len(await alice.threads.search(metadata={"topic": "t"})) == 1
    with pytest.raises(NotFoundError):
        await bob.threads.get_state(thread["thread_id"])
    with pytest.raises(NotFoundError):
        await bob.runs.create(thread["thread_id"], "agent", input={})
    streamed = [
        part async for part in alice.runs.stream(thread["thread_id"], "agent", input={"asks": True})
    ]
    assert streamed[-1].event == "values"
    await alice.threads.delete(thread["thread_id"])
