"""A request that is refused before it becomes a turn has one line of the log, and is counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from everturn.server.access.caller import Caller
from everturn.server.observe import turns
from everturn.server.observe.context import caller_hash
from tests.provider import KEY, FakeProvider, Fault
from tests.server.access.project import served, user_of
from tests.server.observe.test_context import Lines
from tests.service import Client, serving

MESSAGE = "/api/chat/message"
INPUT = {"input": {"messages": "Hi"}}
ALONE = {"assistant_id": "agent", **INPUT}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    lines = Lines()
    monkeypatch.setattr(turns, "log", lines)
    return lines.taken


def told(lines: list[dict[str, Any]]) -> tuple[Any, ...]:
    line = lines[-1]
    return line["endpoint"], line["status"], line["http_status"], line["error"]


def counted(client: Client, kind: str) -> bool:
    return f'everturn_refused_requests_total{{type="{kind}"}} 1.0' in client.get("/metrics").text


def test_each_refusal_says_which_route_and_why(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    missing = {"message": "Hi", "session_id": "5a1f8c7e-0000-4000-8000-000000000000"}
    with serving(tmp_path / "data", max_body_size=100_000, rate_limit="4/minute") as client:
        foreign = {"Origin": "https://elsewhere.example"}
        asks: list[tuple[str, dict[str, Any], tuple[int, str]]] = [
            (MESSAGE, {"json": {}, "headers": foreign}, (403, "foreign-origin")),
            (MESSAGE, {"json": {}, "headers": {"Host": "x.example"}}, (421, "misdirected-request")),
            (MESSAGE, {"json": {"message": "x" * 100_000}}, (413, "content-too-large")),
            ("/runs/wait", {"json": {}}, (422, "invalid-request")),
            (MESSAGE, {"json": missing}, (404, "session-not-found")),
            ("/threads/{thread_id}/runs", {"json": ALONE}, (404, "thread-not-found")),
            ("/invoke", {"json": {"graph": "none", **INPUT}}, (404, "graph-not-found")),
            (MESSAGE, {"json": {"message": "Hi"}}, (429, "rate-limited")),
        ]
        for path, asked, answer in asks:
            place = path.replace("{thread_id}", missing["session_id"])
            assert client.post(place, **asked).status_code == answer[0]
            assert told(lines) == (path, "refused", *answer)
            assert lines[-1]["request_id"]
            assert lines[-1]["address"] == "127.0.0.1"
            assert counted(client, answer[1])
        assert client.get("/nowhere").status_code == 404
        assert told(lines) == (None, "refused", 404, "not-found")
        assert "chat_requests_total{" not in client.get("/metrics").text  # none was a turn


def test_who_asks_is_a_hash(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    with served(tmp_path / "data", caller_key="k") as url:
        with Client(url) as nobody:
            assert nobody.post(MESSAGE, json={}).status_code == 401
        assert told(lines) == (MESSAGE, "refused", 401, "unauthorized")
        assert lines[-1]["caller"] is None
        with user_of(url, "alice") as alice:
            assert alice.post(MESSAGE, json={}).status_code == 422
        assert lines[-1]["caller"] == caller_hash(Caller({"identity": "alice"}))


def test_a_turn_that_fails_has_its_own_line_alone(
    tmp_path: Path, lines: list[dict[str, Any]]
) -> None:
    """Also where it is a problem of the request, or is answered again."""
    (tmp_path / "own.py").write_text(
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "def bug(state):\n    raise ValueError\n"
        "graph = StateGraph(MessagesState).add_node(bug).add_edge(START, 'bug').compile()\n"
    )
    agent = str(Path(__file__).parents[3] / "graph" / "agent.py:graph")
    graphs = {"agent": agent, "own": f"{tmp_path / 'own.py'}:graph"}
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": graphs}))
    with FakeProvider() as provider:
        provider.script("a", Fault(400))
        own: dict[str, Any] = {"base_url": provider.url, "models": "a", "openai_api_key": KEY}
        own["config"] = tmp_path / "langgraph.json"
        with serving(tmp_path / "data", **own) as client:
            key = {"Idempotency-Key": "once"}
            refused = {"message": "Hi", "offline_answer": False}
            for body in (refused, refused):
                assert client.post(MESSAGE, json=body, headers=key).status_code == 503
            bug = {"graph": "own", **INPUT}
            assert client.post("/invoke", json=bug).status_code == 500
    assert [(line["endpoint"], line["status"]) for line in lines] == [
        (MESSAGE, "error"),
        ("/invoke", "error"),
    ]
