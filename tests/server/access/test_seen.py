"""Who a graph sees, and that nobody else is shown it: forged, streamed, stored or logged."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.access.project import PROJECT, alice, bob, data, url, user_of
from tests.service import process
from tests.waiting import eventually_sync

__all__ = ["alice", "bob", "data", "url"]

Json = dict[str, Any]

ALICE = {
    "identity": "alice",
    "item": "alice",
    "team": "crimson",
    "name": "Alice A.",
    "id": "alice",
    "permissions": ["crons"],
    "user_id": "alice",
    "runtime": "alice",
}
FORGED = {
    "langgraph_auth_user": {"identity": "root"},
    "langgraph_auth_user_id": "root",
    "langgraph_auth_permissions": ["all"],
}
HIDDEN = ("langgraph_auth", "crimson", "Alice A.")
"""The names under which a graph is given its user, and what only the authenticator knows."""


@pytest.fixture
def thread(alice: httpx.Client) -> str:
    return str(alice.post("/threads", json={}).json()["thread_id"])


@pytest.mark.parametrize(
    "said",
    [
        {"config": {"configurable": FORGED}},
        {"context": FORGED},
        {"config": {"configurable": FORGED, "metadata": FORGED}, "metadata": FORGED},
    ],
)
def test_a_graph_sees_who_asks_whatever_the_client_says(
    said: Json, alice: httpx.Client, thread: str
) -> None:
    body = {"assistant_id": "agent", "input": {"until": ""}, **said}
    state = alice.post(f"/threads/{thread}/runs/wait", json=body).json()
    assert state["seen"] == ALICE


def test_a_user_id_of_ones_own_is_a_choice_as_any_other(alice: httpx.Client, thread: str) -> None:
    body = {"assistant_id": "agent", "input": {"until": ""}}
    chosen = {**body, "config": {"configurable": {"user_id": "chosen"}}}
    state = alice.post(f"/threads/{thread}/runs/wait", json=chosen).json()
    assert state["seen"] == {**ALICE, "user_id": "chosen"}  # as LangGraph's server has it


def test_nor_does_an_assistant_say_who_asks(alice: httpx.Client, thread: str) -> None:
    made = {"graph_id": "agent", "config": {"configurable": FORGED}}
    assistant = alice.post("/assistants", json=made).json()["assistant_id"]
    body = {"assistant_id": assistant, "input": {"until": ""}}
    assert alice.post(f"/threads/{thread}/runs/wait", json=body).json()["seen"] == ALICE


def test_our_own_doors_say_it_too(alice: httpx.Client, bob: httpx.Client) -> None:
    config = {"configurable": FORGED}
    body = {"graph": "agent", "input": {"until": ""}, "config": config}
    assert alice.post("/invoke", json=body).json()["seen"] == ALICE
    assert bob.post("/api/chat/message", json={"message": "Hi"}).json()["response"] == "Hello bob"


def test_a_factory_sees_for_whom_it_makes_a_graph(alice: httpx.Client, thread: str) -> None:
    body = {"assistant_id": "made", "input": {"until": ""}}
    alice.post(f"/threads/{thread}/runs/wait", json=body)
    alice.get(f"/threads/{thread}/history")
    alice.post(f"/threads/{thread}/state", json={"values": {"until": "x"}})
    alice.get("/assistants/made/graph")
    seen = alice.post(f"/threads/{thread}/runs/wait", json=body).json()["seen"]["made_for"]
    for access in ("threads.create_run", "threads.read", "threads.update", "assistants.read"):
        assert f"('{access}', 'alice')" in seen
    assert "None" not in seen


def test_what_a_user_is_leaves_the_service_nowhere(
    alice: httpx.Client, thread: str, data: Path
) -> None:
    modes = ["values", "updates", "messages", "messages-tuple", "events", "tasks", "checkpoints"]
    body = {"assistant_id": "agent", "input": {"messages": "Hi"}, "stream_resumable": True}
    shown = []
    for mode in [*modes, "debug", "custom"]:
        asked = {**body, "stream_mode": [mode], "stream_subgraphs": True}
        answer = alice.post(f"/threads/{thread}/runs/stream", json=asked)
        assert answer.status_code == 200
        shown.append(answer.text)
    paused = {**body, "input": {"asks": True}, "stream_mode": ["debug"]}
    shown.append(alice.post(f"/threads/{thread}/runs/stream", json=paused).text)
    paths = ("", "/runs", "/state", "/history?limit=100", "/state?subgraphs=true")
    shown += [alice.get(f"/threads/{thread}{path}").text for path in paths]
    cron = {**body, "schedule": "0 0 1 1 *"}
    shown.append(alice.post("/runs/crons", json=cron).text)
    shown.append(alice.post("/runs/crons/search", json={}).text)
    shown.append(alice.post("/threads/search", json={"ids": [thread]}).text)
    for each in shown:
        # The graph of this test says itself whom it saw; that is the graph's to say.
        rest = re.sub('"team":"crimson"|"name":"Alice A[.]"|Hello Alice A[.]', "", each)
        for word in HIDDEN:
            assert word not in rest, rest[max(0, rest.find(word) - 300) : rest.find(word) + 100]
    with closing(sqlite3.connect(data / "everturn.db")) as database:
        (caller,) = database.execute(
            "SELECT caller FROM runs WHERE thread_id = ? LIMIT 1", (thread,)
        ).fetchone()
    assert '"crimson"' in caller  # a process that takes the run over needs it


def test_a_cron_runs_as_who_made_it(alice: httpx.Client, bob: httpx.Client) -> None:
    body = {"assistant_id": "agent", "schedule": "* * * * * *", "on_run_completed": "keep"}
    cron = alice.post("/runs/crons", json={**body, "input": {"until": ""}}).json()["cron_id"]
    wanted = {"metadata": {"cron_id": cron}, "values": {"seen": {"identity": "alice"}}}
    found = eventually_sync(lambda: alice.post("/threads/search", json=wanted).json())
    alice.delete(f"/runs/crons/{cron}")
    assert found[0]["values"]["seen"] == ALICE
    assert found[0]["metadata"]["owner"] == "alice"
    assert bob.post("/threads/search", json=wanted).json() == []


def test_the_user_survives_kill_9(tmp_path: Path) -> None:
    data, go = tmp_path / "data", tmp_path / "go"
    body = {"assistant_id": "agent", "input": {"until": str(go), "messages": "Hi"}}
    settings = {"EVERTURN_CONFIG": str(PROJECT)}
    with process(data, **settings) as running, user_of(running.url(), "alice") as alice:
        thread = alice.post("/threads", json={}).json()["thread_id"]
        run = alice.post(f"/threads/{thread}/runs", json=body).json()["run_id"]
        eventually_sync(lambda: alice.get(f"/threads/{thread}").json()["status"] == "busy")
        running.kill()
    go.touch()
    with process(data, **settings) as running, user_of(running.url(), "alice") as alice:
        state = alice.get(f"/threads/{thread}/runs/{run}/join").json()
        assert state["seen"] == ALICE
        log = "".join(running.log)
        with user_of(running.url_found, "bob") as bob:
            assert bob.get(f"/threads/{thread}/runs/{run}/join").status_code == 404
        for word in HIDDEN:
            assert word not in log
