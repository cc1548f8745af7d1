"""Conversations can be found again: listed with what they came to, exported, deleted."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from everturn.checkpoints.sql.threads import ThreadTable
from tests.provider import KEY, FakeProvider, Offer, Reply
from tests.service import Client, serving
from tests.waiting import eventually_sync


def listed(client: Client, **wanted: Any) -> list[dict[str, Any]]:
    body = client.get("/api/chat/sessions", params=wanted).json()
    assert body["total"] >= len(body["sessions"])
    found: list[dict[str, Any]] = body["sessions"]
    return found


def test_a_list_says_what_each_session_came_to(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.offer(Offer("m", prompt_price="0.001", completion_price="0.002"))
    fake_provider.script("m", Reply("One.", cost=0.25), Reply("Two.", cost=0.5), "Three.")
    settings = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "m"}
    with serving(data_dir, **settings) as client:
        first = client.ask("  What is\n 15% of 80? ")["session_id"]
        second = client.post("/api/chat/session", json={"context": {"user": "ada"}}).json()
        answer = client.ask("and of 90?", first)
        newest, empty = listed(client)
        assert (newest["session_id"], newest["title"]) == (first, "What is 15% of 80?")
        assert (newest["status"], newest["turns"], newest["cost"]) == ("active", 2, 0.75)
        assert newest["created_at"] < newest["last_used_at"] < newest["expires_at"]
        assert answer["cost"] == 0.5
        assert empty == second
        assert (empty["title"], empty["turns"], empty["cost"]) == (None, 0, None)
        shown = client.get(f"/api/chat/session/{first}").json()
        assert {name: shown[name] for name in newest} == newest
        client.ask("x" * 500 + " the end", second["session_id"])
        assert [each["session_id"] for each in listed(client)] == [second["session_id"], first]
        assert listed(client)[0]["title"] == "x" * 79 + "…"
        assert [each["session_id"] for each in listed(client, limit=1, offset=1)] == [first]


def test_a_session_that_is_deleted_while_it_is_listed_is_counted(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none_left(*_: Any) -> int:
        return 0

    with serving(data_dir) as client:
        client.post("/api/chat/session")
        monkeypatch.setattr(ThreadTable, "count", none_left)
        assert len(listed(client)) == 1
        assert listed(client, offset=1) == []


@pytest.fixture
def ended(data_dir: Path) -> str:
    """A session that has ended and was swept up, in a data folder."""
    with serving(data_dir, session_ttl=1) as client:
        client.post("/api/chat/session")  # ends without a turn: nothing is left of it
        session: str = client.ask("Calculate 10 * 20")["session_id"]
        eventually_sync(lambda: client.get(f"/api/chat/session/{session}").status_code == 404)
        (unswept,) = [each for each in listed(client) if each["turns"]]
        assert unswept["status"] == "ended"
    return session


def test_a_session_that_ended_is_found_again(data_dir: Path, ended: str) -> None:
    with serving(data_dir) as client:
        eventually_sync(lambda: len(listed(client)) == 1)  # the sweep at the start
        (found,) = listed(client)
        assert (found["session_id"], found["title"]) == (ended, "Calculate 10 * 20")
        assert (found["status"], found["turns"]) == ("ended", 1)
        assert found["last_used_at"] < found["expires_at"]
        assert listed(client, status="active") == []
        assert listed(client, status="ended") == [found]
        assert client.get(f"/api/chat/session/{ended}").status_code == 404
        again = client.post("/api/chat/message", json={"message": "hi", "session_id": ended})
        assert again.status_code == 404
        assert client.get(f"/threads/{ended}").status_code == 404
        assert client.post("/threads/search", json={}).json() == []
        (row,) = client.get(f"/api/chat/history/{ended}").json()
        exported = client.get(f"/api/chat/session/{ended}/export").json()
        assert exported == {**found, "history": [row]}
        assert client.delete(f"/api/chat/session/{ended}").status_code == 204
        assert listed(client) == []
        for gone in (f"/api/chat/history/{ended}", f"/api/chat/session/{ended}/export"):
            assert client.get(gone).status_code == 404
        assert client.delete(f"/api/chat/session/{ended}").status_code == 404


def test_the_history_of_a_session_without_a_row_is_still_there(data_dir: Path, ended: str) -> None:
    """Earlier versions deleted the row of a session that ended."""
    with closing(sqlite3.connect(data_dir / "everturn.db")) as database:
        database.execute("DELETE FROM threads")
        database.commit()
    with serving(data_dir) as client:
        (row,) = client.get(f"/api/chat/history/{ended}").json()
        exported = client.get(f"/api/chat/session/{ended}/export").json()
        assert (exported["status"], exported["history"]) == ("ended", [row])
        assert exported["title"] == row["user_message"]
        assert client.delete(f"/api/chat/session/{ended}").status_code == 204
        assert client.get(f"/api/chat/history/{ended}").status_code == 404


def test_an_export_is_a_file_to_keep_or_to_read(client: Client) -> None:
    session = client.ask("Calculate 10 * 20")["session_id"]
    client.ask("What is my name?", session)
    path = f"/api/chat/session/{session}/export"
    kept = client.get(path)
    name = f"attachment; filename*=UTF-8''session-{session}"
    assert kept.headers["content-disposition"] == f"{name}.json"
    assert [row["user_message"] for row in kept.json()["history"]] == [
        "Calculate 10 * 20",
        "What is my name?",
    ]
    assert kept.json()["history"] == client.get(f"/api/chat/history/{session}").json()
    read = client.get(path, params={"format": "markdown"})
    assert read.headers["content-type"] == "text/markdown; charset=utf-8"
    assert read.headers["content-disposition"] == f"{name}.md"
    lines = read.text.splitlines()
    assert lines[0] == "# Calculate 10 * 20"
    assert "## Assistant, offline, with calculator" in lines
    assert lines.index("10 * 20 = 200") < lines.index("What is my name?")
    other = client.get(path, params={"format": "pdf"})
    assert (other.status_code, other.json()["detail"][:8]) == (422, "format: ")
    fresh = client.post("/api/chat/session").json()["session_id"]
    assert client.get(f"/api/chat/session/{fresh}/export").json()["history"] == []
    assert client.get("/api/chat/session/nobody/export").status_code == 404


def test_all_sessions_are_deleted_only_where_the_request_says_so(
    data_dir: Path, ended: str
) -> None:
    with serving(data_dir) as client:
        living = [client.ask("Calculate 1 + 1")["session_id"] for _ in range(3)]
        thread = client.post("/threads", json={}).json()["thread_id"]
        for path in ("/api/chat/sessions", "/api/chat/sessions?confirm=yes"):
            refused = client.delete(path)
            assert refused.status_code == 422
            assert "?confirm=all" in refused.json()["detail"]
        assert len(listed(client)) >= 4
        some = client.delete("/api/chat/sessions", params={"confirm": "all", "status": "ended"})
        assert (some.status_code, some.json()["deleted"] >= 1) == (200, True)
        assert client.get(f"/api/chat/history/{ended}").status_code == 404
        assert {each["session_id"] for each in listed(client)} == set(living)
        every = client.delete("/api/chat/sessions?confirm=all")
        assert every.json() == {"deleted": 3}
        assert listed(client) == []
        assert client.get(f"/api/chat/history/{living[0]}").status_code == 404
        assert client.get(f"/threads/{thread}").status_code == 200


def test_an_export_of_very_many_turns_has_them_all(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everturn.server.resources.sessions._PAGE", 2)
    session = client.ask("Calculate 1 + 1")["session_id"]
    for number in range(2, 6):
        client.ask(f"Calculate {number} + 1", session)
    rows = json.loads(client.get(f"/api/chat/session/{session}/export").text)["history"]
    assert [row["user_message"] for row in rows] == [f"Calculate {n} + 1" for n in range(1, 6)]
