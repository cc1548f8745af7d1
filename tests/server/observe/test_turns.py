"""What a turn took is said however it ended, and of no other turn."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from everturn.server.observe import turns
from tests.provider import KEY, FakeProvider, Fault, Reply, ToolCall
from tests.server.observe.test_context import Lines
from tests.service import Client, serving
from tests.waiting import eventually_sync

CALLS = Reply(tool_calls=[ToolCall("calculator", {"expression": "1 + 1"})], cost=0.25)
ANSWER = Reply("Two.", cost=0.25)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    lines = Lines()
    monkeypatch.setattr(turns, "log", lines)
    return lines.taken


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


def serve(folder: Path, provider: FakeProvider, **more: Any) -> Any:
    own = {"base_url": provider.url, "models": "a", "openai_api_key": KEY}
    return serving(folder / "data", **own, **more)


def figure(client: Client, name: str) -> float:
    text = client.get("/metrics").text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_a_turn_that_ends_in_an_error_says_what_it_took(
    tmp_path: Path, provider: FakeProvider, lines: list[dict[str, Any]]
) -> None:
    provider.script("a", CALLS, Fault(500))
    with serve(tmp_path, provider) as client:
        asked = {"message": "1 + 1?", "offline_answer": False}
        assert client.post("/api/chat/message", json=asked).status_code == 503
        (line,) = lines
        assert (line["status"], line["model_used"]) == ("error", "none")
        assert line["attempts"] == provider.calls()
        assert line["cost"] == 0.25
        assert line["tokens_used"] > 0
        assert figure(client, "model_cost_dollars_total{") == 0.25
        assert figure(client, "model_tokens_total{") == line["tokens_used"]
        assert figure(client, "model_failures_total{") == provider.calls() - 1


def test_a_run_that_is_taken_back_does_not_say_what_the_one_before_it_took(
    tmp_path: Path, provider: FakeProvider, lines: list[dict[str, Any]]
) -> None:
    provider.script("a", ANSWER, Fault("silent"))
    with serve(tmp_path, provider) as client:
        thread = str(uuid4())
        body = {"assistant_id": "agent", "input": {"messages": "1 + 1?"}}
        body["if_not_exists"] = "create"
        client.post(f"/threads/{thread}/runs/wait", json=body).raise_for_status()
        run = client.post(f"/threads/{thread}/runs", json=body).json()["run_id"]
        eventually_sync(lambda: provider.calls() == 2)
        how = {"wait": True, "action": "rollback"}
        client.post(f"/threads/{thread}/runs/{run}/cancel", params=how).raise_for_status()
        eventually_sync(lambda: len(lines) == 2)
        assert [line["status"] for line in lines] == ["success", "cancelled"]
        assert [line["cost"] for line in lines] == [0.25, None]
        assert [line["tokens_used"] > 0 for line in lines] == [True, False]
        assert figure(client, "model_cost_dollars_total{") == 0.25


def test_what_waited_and_went_on_says_each_call_once(
    tmp_path: Path, provider: FakeProvider, lines: list[dict[str, Any]]
) -> None:
    provider.script("a", CALLS, ANSWER)
    with serve(tmp_path, provider, approve_tools="calculator") as client:
        waits = client.ask("1 + 1?")
        decided = [{"id": call["id"], "type": "approve"} for call in waits["calls"]]
        path = f"/api/chat/session/{waits['session_id']}/resume"
        done = client.post(path, json={"decisions": decided}).json()
        assert done["cost"] == 0.5  # of the turn; each line has what its run took
        assert [line["cost"] for line in lines] == [0.25, 0.25]
        assert [line["attempts"] for line in lines] == [1, 1]
        assert figure(client, "model_tokens_total{") == sum(line["tokens_used"] for line in lines)
