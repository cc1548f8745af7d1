"""Callers export and forget themselves, and nobody else."""

import json
from pathlib import Path
from typing import Any

from tests.server.projects.test_keys import PROJECTS
from tests.service import Client, serving


def test_callers_have_themselves_exported_and_forgotten_and_nobody_else(data_dir: Path) -> None:
    with serving(data_dir, config=PROJECTS / "auth" / "langgraph.json") as client:
        alice, bob = _as("alice"), _as("bob")
        thread = _thread_of(client, alice)
        others = _thread_of(client, bob)
        assert client.get("/api/users/export", params={"user": "alice"}).status_code == 401
        for user, who in (("alice", bob), ("bob", alice)):
            answer = client.get("/api/users/export", params={"user": user}, headers=who)
            assert answer.status_code == 404
            answer = client.delete("/api/users", params={"user": user}, headers=who)
            assert answer.json()["type"] == "user-not-found"
        exported = client.get("/api/users/export", params={"user": "alice"}, headers=alice)
        assert exported.headers["content-type"].startswith("application/x-ndjson")
        found = [json.loads(line) for line in exported.text.splitlines()]
        assert {each["thread_id"] for each in found if each["kind"] == "thread"} == {thread}
        assert {each["thread_id"] for each in found if each["kind"] == "run"} == {thread}
        erased = client.delete("/api/users", params={"user": "alice"}, headers=alice)
        assert erased.json()["threads"] == 1
        assert client.get(f"/threads/{thread}", headers=alice).status_code == 404
        assert client.get(f"/threads/{others}", headers=bob).status_code == 200


def test_memories_of_another_callers_user_of_the_same_name_are_not_theirs(data_dir: Path) -> None:
    with serving(data_dir, config=PROJECTS / "auth" / "langgraph.json") as client:
        alice, bob = _as("alice"), _as("bob")
        for who, user, text in ((alice, "", "Mine."), (bob, "alice", "Of the alice bob serves.")):
            path = f"/api/memories?user={user}" if user else "/api/memories"
            client.post(path, json={"text": text}, headers=who).raise_for_status()
        exported = client.get("/api/users/export", params={"user": "alice"}, headers=alice).text
        assert "Mine." in exported
        assert "bob serves" not in exported
        erased = client.delete("/api/users", params={"user": "alice"}, headers=alice).json()
        assert erased["store_items"] == 1
        assert client.get("/api/memories", headers=alice).json()["memories"] == []
        assert "bob serves" in client.get("/api/memories?user=alice", headers=bob).text


def _thread_of(client: Client, who: dict[str, str]) -> Any:
    thread = client.post("/threads", json={}, headers=who).json()["thread_id"]
    asked = {"assistant_id": _graph(client, who), "input": {"messages": []}}
    client.post(f"/threads/{thread}/runs/wait", json=asked, headers=who).raise_for_status()
    return thread


def _graph(client: Client, who: dict[str, str]) -> str:
    found = client.post("/assistants/search", json={}, headers=who).json()
    return str(found[0]["graph_id"])


def _as(user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {user}"}
