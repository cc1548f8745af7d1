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
        (
            "POST",
            "/runs/wait",
            {"assistant_id": "agent", "command": {"goto": 5}},
            422,
            "command.goto: Input should be a valid string",
        ),
        (
            "POST",
            "/runs/wait",
            {"assistant_id": "agent", "interrupt_before": 5},
            422,
            "interrupt_before: Input should be a valid list",
        ),
        ("GET", f"/api/chat/sessions?offset={2**63}", None, 422, "offset: "),
        ("GET", f"/api/chat/history/{UNKNOWN}?before={2**63}", None, 422, "before: "),
        ("GET", f"/api/chat/session/{UNKNOWN}", None, 404, UNKNOWN),
        ("GET", f"/api/chat/history/{UNKNOWN}", None, 404, UNKNOWN),
        ("GET", f"/api/chat/history/{UNKNOWN}?limit=0", None, 422, "limit: "),
        ("DELETE", f"/api/chat/session/{UNKNOWN}", None, 404, UNKNOWN),
        (
            "POST",
            "/runs/wait",
            {"assistant_id": "agent", "command": {"goto": 5}},
            422,
            "command.goto: Input should be a valid string; command.goto.Send: ",
        ),
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
        ("POST", "/invoke", {"command": {}, "thread_id": "t"}, 422, "resume"),
        ("POST", "/invoke", {"command": {"goto": "nowhere"}, "thread_id": "t"}, 422, "nowhere"),
        (
            "POST",
            "/invoke",
            {"input": {"messages": "x"}, "config": {"metadata": 5}},
            422,
            "metadata",
        ),
        (
            "POST",
            "/invoke",
            {"input": {"messages": "x"}, "config": {"callbacks": []}},
            422,
            "callbac",
        ),
        (
            "POST",
            "/invoke",
            {"input": {"messages": "x"}, "config": {"configurable": {"thread_id": "t"}}},
            422,
            "thread_id",
        ),
        (
            "POST",
            "/invoke",
            {"input": {"messages": "Calculate 1+1"}, "config": {"recursion_limit": 1}},
            422,
            "recursion_limit",
        ),
        (
            "POST",
            "/invoke",
            {"input": {"messages": "x"}, "thread_id": "t", "context": {"model": "gpt-99"}},
            422,
            "offline",
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


JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}  # what `curl -d` sends by itself


@pytest.mark.parametrize("path", ["/api/chat/message", "/api/chat/session", "/invoke"])
def test_a_body_that_is_not_json(client: Client, path: str) -> None:
    broken = client.post(path, content=b'{"context": nope}', headers=JSON)
    assert broken.status_code == 422
    assert broken.json()["detail"].startswith("body, at character 12: invalid literal")
    for headers in (FORM, {}):
        undeclared = client.post(path, content=b'{"message": "x"}', headers=headers)
        assert undeclared.status_code == 422
        assert "send Content-Type: application/json" in undeclared.json()["detail"]


def test_a_large_body_is_told_the_limit_announced_or_not(client: Client) -> None:
    content = b'{"message": "' + b"x" * 5_000_000 + b'"}'
    announced = client.post("/api/chat/message", content=content, headers=JSON)
    chunked = client.post("/api/chat/message", content=iter([content]), headers=JSON)
    assert "transfer-encoding" in chunked.request.headers
    assert announced.status_code == chunked.status_code == 413
    assert announced.json() == chunked.json()
    assert announced.headers["content-type"] == "application/problem+json"
    assert announced.json()["type"] == "content-too-large"
    assert "at most 4194304 bytes" in announced.json()["detail"]


def test_a_wrong_request_leaves_nothing_behind(client: Client) -> None:
    before = client.get("/api/chat/sessions").json()["total"]
    client.post("/api/chat/message", json={"message": "x", "model": "gpt-99"})
    client.post("/api/chat/message", json={"message": "x", "agent": "nobody"})
    assert client.get("/api/chat/sessions").json()["total"] == before
