"""Sessions: what their context may hold, and what the lists and the history say of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from everturn.server.api.chat.sessions import MAX_CONTEXT_BYTES
from everturn.server.api.http.strict_json import MAX_DEPTH
from tests.service import Client, serving
from tests.waiting import eventually_sync

JSON = {"content-type": "application/json"}


def nested(levels: int) -> dict[str, Any]:
    """An object of so many levels, lists among them."""
    inner: Any = {"at": "the end"}
    for level in range(levels - 2):
        inner = [inner] if level % 2 else {"in": inner}
    return {"in": inner}


@pytest.mark.parametrize(
    ("context", "says"),
    [
        ('{"a": NaN}', "NaN or Infinity"),
        ('{"a": [{"b": -Infinity}]}', "NaN or Infinity"),
        ('{"a": 1e999}', "NaN or Infinity"),
        (r'{"a": "\ud800"}', "surrogate"),
        (r'{"a": [{"\udfff": 1}]}', "surrogate"),
        (json.dumps(nested(MAX_DEPTH + 1)), "deeper than 100 levels"),
        (r'{"a": "\u0000"}', "U+0000"),
        ("[" * 99 + "]" * 99, "dictionary"),
        ('{"a":' + "[" * 200 + "]" * 200 + "}", "deeper than 100 levels"),
        (json.dumps({"a": 10**30}), "beyond 64 bits"),
        (json.dumps({"a": "x" * MAX_CONTEXT_BYTES}), "at most 16384"),
        (json.dumps({"a": "가" * (MAX_CONTEXT_BYTES // 3)}), "at most 16384"),
    ],
)
def test_a_context_that_could_not_be_returned_is_not_stored(
    client: Client, context: str, says: str
) -> None:
    total = client.get("/api/chat/sessions").json()["total"]
    body = f'{{"context": {context}}}'
    response = client.post("/api/chat/session", content=body.encode(), headers=JSON)
    assert response.status_code == 422, response.text
    assert response.json()["detail"].startswith(("context: ", "body, at character "))
    assert says in response.json()["detail"]
    listed = client.get("/api/chat/sessions")
    assert listed.status_code == 200
    assert listed.json()["total"] == total


@pytest.mark.parametrize(
    "context",
    [
        nested(MAX_DEPTH - 1),
        {"a": "x" * (MAX_CONTEXT_BYTES - len('{"a": ""}'))},
        {"세션": "🎈", "big": 2**64 - 1, "none": None, "yes": True, "half": 0.5},
    ],
)
def test_any_other_context_is_returned_as_it_is(client: Client, context: dict[str, Any]) -> None:
    made = client.post("/api/chat/session", json={"context": context})
    assert made.status_code == 201, made.text
    session = made.json()["session_id"]
    assert made.json()["context"] == context
    assert client.get(f"/api/chat/session/{session}").json()["context"] == context
    listed = client.get("/api/chat/sessions?limit=1000").json()["sessions"]
    assert context in [each["context"] for each in listed if each["session_id"] == session]


def test_a_page_beyond_the_end_is_empty(client: Client) -> None:
    client.post("/api/chat/session")
    page = client.get(f"/api/chat/sessions?offset={2**63 - 1}")
    assert page.status_code == 200, page.text
    assert page.json()["sessions"] == []
    assert page.json()["total"] >= 1


def test_the_largest_id_asks_for_the_newest_turns(client: Client) -> None:
    session = client.ask("Calculate 10 * 20")["session_id"]
    rows = client.get(f"/api/chat/history/{session}?before={2**63 - 1}").json()
    assert [row["user_message"] for row in rows] == ["Calculate 10 * 20"]


def test_a_session_that_expired_is_not_called_unknown(data_dir: Path) -> None:
    with serving(data_dir, session_ttl=1) as client:
        session = client.post("/api/chat/session").json()["session_id"]
        eventually_sync(lambda: client.get(f"/api/chat/session/{session}").status_code != 200)
        gone = client.get(f"/api/chat/history/{session}")
    assert gone.status_code == 404
    assert "it never was, was deleted, or expired without a finished turn" in gone.json()["detail"]


def test_head_of_ok_is_answered_without_a_body(client: Client) -> None:
    response = client.head("/ok")
    assert response.status_code == 200
    assert response.content == b""


def test_a_turn_of_minutes_has_a_bucket(client: Client) -> None:
    client.ask("hi")
    figures = client.get("/metrics").text
    assert (
        'chat_response_duration_seconds_bucket{endpoint="/api/chat/message",le="300.0"' in figures
    )
