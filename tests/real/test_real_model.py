"""The service and a real model: llama.cpp takes what is sent, and what comes back is read."""

import json
from typing import Any

import pytest

from everturn.server.__main__ import main
from tests.real.conftest import KEY, MODEL, ModelServer
from tests.real.key_proxy import KeyProxy
from tests.service import Client, Event, read_events
from tests.waiting import eventually_sync

STREAM = "/api/chat/message/stream"
SHORT: dict[str, Any] = {"max_tokens": 48, "temperature": 0}
"""So small a model may talk on and on, on a busy machine ten tokens a second."""
Proxy = tuple[KeyProxy, str]


def _answered_by_the_model(answer: dict[str, Any]) -> bool:
    assert answer["route"]["degraded"] is (answer["model"] != MODEL)
    return bool(answer["model"] == MODEL)


def test_an_answer_and_its_usage(service: Client, proxy: Proxy) -> None:
    answer = service.ask("Say hello.", **SHORT)
    assert _answered_by_the_model(answer)
    assert answer["response"].strip()
    assert answer["usage"]["input_tokens"] > 0
    assert answer["usage"]["output_tokens"] > 0
    assert {seen.headers["authorization"] for seen in proxy[0].seen} == {
        f"Bearer sk-…{len(KEY)} characters"
    }


def test_a_stream(service: Client) -> None:
    events = service.events(STREAM, {"message": "Count from one to ten.", **SHORT})
    words = [event.data["content"] for event in events if event.name == "message"]
    assert len(words) > 1
    assert events[-1].name == "done"
    assert _answered_by_the_model(events[-1].data)
    session = events[0].data["session_id"]
    [row] = service.get(f"/api/chat/history/{session}").json()
    assert row["assistant_message"] == "".join(words)


def test_it_remembers_the_turn_before(service: Client, proxy: Proxy) -> None:
    session = service.ask("My name is Ada.", **SHORT)["session_id"]
    assert _answered_by_the_model(service.ask("What is my name?", session, **SHORT))
    said = [m["content"] for m in json.loads(proxy[0].seen[-1].body)["messages"]]
    assert "My name is Ada." in said


def test_a_server_that_dies_in_mid_answer_costs_no_turn(
    service: Client, model_server: ModelServer
) -> None:
    body = {"message": "Write a long story about a river."}
    with service.stream("POST", STREAM, json=body) as response:
        events: list[Event] = []
        for event in read_events(response):
            if event.name == "message" and not any(e.name == "message" for e in events):
                model_server.kill()
            events.append(event)
    done = events[-1]
    assert done.name == "done"
    assert done.data["status"] == "completed"
    assert done.data["model"] == "offline"
    assert done.data["route"]["degraded"] is True
    assert done.data["route"]["tried"][0]["failure"] == "cut"
    assert any(event.name == "reset" for event in events)  # what was shown of it is taken back

    model_server.start()
    session = events[0].data["session_id"]
    eventually_sync(lambda: _answered_by_the_model(service.ask("Are you back?", session, **SHORT)))


class Check:
    """Runs `everturn check-model` with the settings that are right, but for those given."""

    def __init__(
        self, url: str, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
    ) -> None:
        self.url, self._patch, self._captured = url, patch, captured

    def __call__(self, *arguments: str, **wrong: str) -> tuple[int, str]:
        right = {
            "EVERTURN_BASE_URL": self.url,
            "OPENAI_API_KEY": KEY,
            "EVERTURN_MODELS": MODEL,
        }
        for name, value in (right | wrong).items():
            self._patch.setenv(name, value)
        return main(["check-model", *arguments]), self._captured.readouterr().out


@pytest.fixture
def check(
    proxy: Proxy,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Check:
    monkeypatch.chdir(tmp_path)
    return Check(proxy[1], monkeypatch, capsys)


def test_check_model(check: Check) -> None:
    code, printed = check("--json")
    [model] = json.loads(printed)["models"]
    assert code == 0
    assert model["answers"] is True
    assert model["stream"]["pieces"] > 1
    assert model["usage"]["output_tokens"] > 0


def test_check_model_with_a_wrong_key(check: Check) -> None:
    code, printed = check(OPENAI_API_KEY="sk-wrong")
    assert code == 1
    assert printed.splitlines()[-1].startswith("OPENAI_API_KEY (environment): ")
    assert "Incorrect API key provided" in printed


def test_check_model_with_a_wrong_url(check: Check) -> None:
    code, printed = check(EVERTURN_BASE_URL=f"{check.url}/elsewhere")
    assert code == 1
    assert printed.splitlines()[-1].startswith("EVERTURN_BASE_URL (environment): ")


def test_check_model_with_a_wrong_name(check: Check) -> None:
    """llama.cpp answers with the model it has, whatever the name."""
    code, printed = check(EVERTURN_MODELS="smollm3")
    assert code == 0
    assert "smollm3: the provider does not list this name" in printed
