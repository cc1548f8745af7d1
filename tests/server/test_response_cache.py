"""The response cache through the front door: who is given what, what it costs, and who sees it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.provider import KEY, FakeProvider, Reply
from tests.server.access.own_users import Callers, Who
from tests.service import Client, process, serving


def _settings(provider: FakeProvider) -> dict[str, Any]:
    return {"base_url": provider.url, "openai_api_key": KEY, "models": "model-a,model-b"}


@pytest.fixture
def served(data_dir: Path, fake_provider: FakeProvider) -> Iterator[Client]:
    fake_provider.script("model-a", Reply("One whole answer of several words.", cost=0.25))
    with serving(data_dir, **_settings(fake_provider)) as client:
        yield client


def test_a_chat_message_may_be_answered_by_what_was_kept(
    served: Client, fake_provider: FakeProvider
) -> None:
    first = served.ask("hello", cache=True)
    again = served.ask("hello", cache=True)
    assert fake_provider.calls("model-a") == 1
    assert again["response"] == first["response"]
    assert again["session_id"] != first["session_id"]
    assert (first["route"]["mode"], again["route"]["mode"]) == ("primary", "cache")
    assert again["model"] == "model-a"
    assert again["usage"]["total_tokens"] == 0
    assert again["cost"] is None
    assert again["route"]["cached"]["age"] >= 0
    history = served.get(f"/api/chat/history/{again['session_id']}").json()
    assert first["response"] in str(history)


def test_it_is_streamed_and_counted(served: Client, fake_provider: FakeProvider) -> None:
    first = served.ask("hello", cache=60)
    events = served.events("/api/chat/message/stream", {"message": "hello", "cache": 60})
    said = "".join(event.data["content"] for event in events if event.name == "message")
    assert said == first["response"]
    assert events[-1].name == "done"
    assert events[-1].data["route"]["mode"] == "cache"
    figures = served.get("/metrics").text
    assert 'everturn_response_cache_total{result="hit"} 1.0' in figures
    assert 'everturn_response_cache_total{result="miss"} 1.0' in figures
    (line,) = (
        each for each in figures.splitlines() if each.startswith("everturn_response_cache_b")
    )
    assert float(line.split()[-1]) > 100
    assert fake_provider.calls("model-a") == 1


def test_an_assistant_may_have_it(served: Client, fake_provider: FakeProvider) -> None:
    made = served.post("/assistants", json={"graph_id": "agent", "context": {"cache": True}}).json()
    asked = {
        "assistant_id": made["assistant_id"],
        "input": {"messages": [{"role": "user", "content": "hello"}]},
    }
    served.post("/runs/wait", json=asked)
    values = served.post("/runs/wait", json=asked).json()
    assert values["messages"][-1]["response_metadata"]["route"]["mode"] == "cache"
    for said in (False, "no-cache"):
        served.post("/runs/wait", json={**asked, "context": {"cache": said}})
    assert fake_provider.calls("model-a") == 3


@pytest.mark.parametrize("wrong", [-1, 1e9, "yes please", [True]])
def test_what_is_no_choice_is_refused(served: Client, wrong: Any) -> None:
    body = {"message": "hello", "cache": wrong}
    assert served.post("/api/chat/message", json=body).status_code == 422


def test_it_costs_no_budget(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("model-a", Reply("One whole answer.", cost=0.25))
    with serving(data_dir, **_settings(fake_provider), tokens_day=10**6) as client:
        client.ask("hello", cache=True)
        before = client.get("/api/usage").json()
        client.ask("hello", cache=True)
        assert client.get("/api/usage").json() == before
        assert fake_provider.calls("model-a") == 1


def test_no_caller_is_given_anothers_and_who_is_deleted_has_none(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("model-a", *(f"answer {number}" for number in range(9)))
    with (
        serving(data_dir, auth="on", response_cache=600, **_settings(fake_provider)) as client,
        closing(Callers(str(client.base_url), data_dir)) as callers,
    ):
        ada, bob, operator = callers.new(), callers.new(), callers.new(admin=True)
        asked = [_answer(who) for who in (ada, bob, ada, bob)]
        assert asked == ["answer 0", "answer 1"] * 2
        gone = operator.client.delete("/api/users", params={"user": ada.identity})
        assert gone.status_code == 200, gone.text
        again = callers.new(identity=ada.identity)
        assert [_answer(who) for who in (again, bob)] == ["answer 2", "answer 1"]


def _answer(who: Who) -> str:
    asked = who.client.post("/api/chat/message", json={"message": "hello"})
    answer: str = asked.json()["response"]
    return answer


def test_processes_share_it_and_one_of_them_asks(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("model-a", Reply("One answer for all.", first_token=1.0))
    environment = {
        "EVERTURN_BASE_URL": fake_provider.url,
        "OPENAI_API_KEY": KEY,
        "EVERTURN_MODELS": "model-a",
        "EVERTURN_RESPONSE_CACHE": "600",
    }
    with process(data_dir, "--workers", "2", **environment) as running:
        url = running.url()

        def ask(_: int) -> str:
            with Client(url) as client:
                answer: str = client.ask("hello")["response"]
                return answer

        with ThreadPoolExecutor(12) as pool:
            assert set(pool.map(ask, range(12))) == {"One answer for all."}
    assert fake_provider.calls("model-a") == 1
