"""Long conversations through the front door: summed up beside the turns, and over a kill -9."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.provider import KEY, FakeProvider, Reply, Request
from tests.service import Client, Process, process, serving
from tests.waiting import eventually_sync

FIRST = "My name is Ann and my budget is 4200 euros."


def _sums_up(request: Request) -> bool:
    return "You keep the notes" in str(request.messages[0]["content"])


def _settings(provider: FakeProvider) -> dict[str, str]:
    return {
        "EVERTURN_BASE_URL": provider.url,
        "OPENAI_API_KEY": KEY,
        "EVERTURN_MODELS": "model-a",
    }


def _client(running: Process) -> Client:
    return Client(running.url())


def _summary(client: Client, session: str) -> Any:
    return client.get(f"/threads/{session}/state").json()["values"].get("summary")


def test_a_summary_that_a_killed_process_was_making_is_made_by_the_next(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    def never(request: Request) -> Reply:
        if _sums_up(request):
            return Reply("- lost", first_token=100.0)
        return Reply("I see.")

    fake_provider.script("model-a", never)
    with process(data_dir, **_settings(fake_provider)) as running, _client(running) as client:
        session = client.ask(FIRST)["session_id"]
        for number in range(9):
            client.ask(f"Topic {number}?", session)
        eventually_sync(lambda: any(map(_sums_up, fake_provider.requests)))
        running.kill()

    fake_provider.script("model-a", lambda r: "- Ann: 4200 euros" if _sums_up(r) else "I see.")
    with process(data_dir, **_settings(fake_provider)) as running, _client(running) as client:
        turns = iter(range(1000))

        def found() -> Any:
            time.sleep(0.5)
            client.ask(f"Another {next(turns)}?", session)
            return _summary(client, session)

        assert eventually_sync(found)["by"] == "model-a"
        assert "4200" in _summary(client, session)["text"]


def test_it_counts_in_budgets_and_figures(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("model-a", lambda r: "- Ann: 4200 euros" if _sums_up(r) else "I see.")
    values = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "model-a"}
    with serving(data_dir, **values, tokens_day=10**7) as client:
        session, used = client.ask(FIRST)["session_id"], 0
        for number in range(12):
            used += client.ask(f"Topic {number}?", session)["usage"]["total_tokens"]
        figure = 'everturn_summaries_total{result="made"}'
        eventually_sync(lambda: figure in client.get("/metrics").text)
        eventually_sync(lambda: client.get("/api/usage").json()["today"]["tokens"] > used)


def test_answers_that_are_kept_never_take_the_room_of_summaries(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    """One that is dropped before it is read would be asked for, and paid, with every turn."""
    fake_provider.script("model-a", lambda r: "- Ann: 4200 euros" if _sums_up(r) else "I see.")
    values = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "model-a"}
    with serving(data_dir, **values, response_cache_bytes=0) as client:
        session, turns = client.ask(FIRST)["session_id"], iter(range(1000))

        def found() -> Any:
            client.ask(f"Topic {next(turns)}?", session)
            return _summary(client, session)

        assert "4200" in eventually_sync(found)["text"]


def test_it_can_be_switched_off(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("model-a", "I see.")
    values = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "model-a"}
    with serving(data_dir, **values, summary=False) as client:
        session = client.ask(FIRST)["session_id"]
        for number in range(12):
            client.ask(f"Topic {number}?", session)
        assert _summary(client, session) is None
    assert not any(map(_sums_up, fake_provider.requests))


@pytest.mark.parametrize(
    ("graph", "channel", "wrong"),
    [
        ("agent", "summary", "x"),
        ("agent", "summary", {"text": 5}),
        ("agent", "summary", {"text": "a", "through": "b", "messages": "1", "tokens": 0}),
        ("team", "asked", "x"),
        ("team", "asked", [{"seconds": 5}]),
    ],
)
def test_what_a_client_writes_into_the_state_breaks_no_later_turn(
    client: Client, graph: str, channel: str, wrong: Any
) -> None:
    thread = client.post("/threads", json={}).json()["thread_id"]
    asked = {"assistant_id": graph, "input": {"messages": "Calculate 6 * 7"}}
    client.post(f"/threads/{thread}/runs/wait", json=asked).raise_for_status()
    update = {"values": {channel: wrong}}
    client.post(f"/threads/{thread}/state", json=update).raise_for_status()
    values = client.post(f"/threads/{thread}/runs/wait", json=asked).json()
    assert "42" in values["messages"][-1]["content"]
