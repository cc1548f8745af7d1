"""Every wrong request gets a problem with a detail that says what to do."""

from typing import Any

import pytest

from tests.service import Client

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/api/chat/message", {"message": ""}, 422, "message: "),
        ("POST", "/api/chat/message", {}, 422, "message: Field required"),
        ("POST", "/api/chat/message", {"message": 5}, 422, "message: "),
        ("POST", "/api/chat/message", {"message": "x" * 32_001}, 422, "at most 32000"),
        ("POST", "/api/chat/message", {"message": "x", "temperature": 3}, 422, "temperature: "),
        ("POST", "/api/chat/message", {"message": "x", "max_tokens": 0}, 422, "max_tokens: "),
        ("POST", "/api/chat/message", {"message": "x", "mesage": "y"}, 422, "mesage: "),
        ("POST", "/api/chat/message", {"message": "x", "model": "gpt-99"}, 422, "offline"),
        ("POST", "/api/chat/message/stream", {"message": "x", "model": "gpt-99"}, 422, "offline"),
        ("POST", "/api/chat/message", {"message": "x", "session_id": UNKNOWN}, 404, UNKNOWN),
        ("POST", "/api/chat/message/stream", {"message": "x", "session_id": "a"}, 404, "'a'"),
        ("POST", "/api/chat/message", {"message": "x", "agent": "nobody"}, 404, "agent, chat"),
        ("POST", "/api/chat/session", {"context": "text"}, 422, "context: "),
        ("GET", f"/api/chat/session/{UNKNOWN}", None, 404, UNKNOWN),
        ("GET", f"/api/chat/history/{UNKNOWN}", None, 404, UNKNOWN),
        ("GET", f"/api/chat/history/{UNKNOWN}?limit=0", None, 422, "limit: "),
        ("DELETE", f"/api/chat/session/{UNKNOWN}", None, 404, UNKNOWN),
        ("POST", "/invoke", {"graph": "nobody", "input": {}}, 404, "agent, chat, simple"),
        ("POST", "/invoke", {"graph": "agent"}, 422, "either `input` or `command`"),
        ("POST", "/invoke", {"input": {}}, 422, "agent"),
        ("POST", "/invoke", {"input": {"messages": [{"no": "role"}]}}, 422, "agent"),
        ("POST", "/invoke", {"command": {"resume": 1}}, 422, "thread_id"),
        (
            "POST",
            "/invoke",
            {"input": {"messages": "hi"}, "context": {"temperature": "hot"}},
            422,
            "context.temperature: ",
        ),
        (
            "POST",
            "/stream",
            {"input": {"messages": "hi"}, "config": {"configurable": {"__fence": 1}}},
            422,
            "__fence",
        ),
        (
            "POST",
            "/stream",
            {"input": {"messages": "hi"}, "stream_mode": "all"},
            422,
            "stream_mode",
        ),
        ("GET", "/nowhere", None, 404, "GET /nowhere"),
        ("GET", "/api/chat/message", None, 405, "GET /api/chat/message"),
    ],
)
def test_a_wrong_request_is_told_why(
    client: Client, method: str, path: str, body: Any, status: int, says: str
) -> None:
    response = client.request(method, path, json=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert says in problem["detail"]


def test_broken_json_and_large_bodies(client: Client) -> None:
    broken = client.post(
        "/api/chat/message", content=b"{nope", headers={"content-type": "application/json"}
    )
    assert broken.status_code == 422
    assert "JSON" in broken.json()["detail"]
    large = client.post("/api/chat/message", json={"message": "x" * 5_000_000})
    assert large.status_code == 413
    assert large.headers["content-type"] == "application/problem+json"


def test_a_wrong_request_leaves_nothing_behind(client: Client) -> None:
    before = client.get("/api/chat/sessions").json()["total"]
    client.post("/api/chat/message", json={"message": "x", "model": "gpt-99"})
    client.post("/api/chat/message", json={"message": "x", "agent": "nobody"})
    assert client.get("/api/chat/sessions").json()["total"] == before
