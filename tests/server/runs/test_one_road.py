"""A turn is a run, by whichever door: it survives, is joined, cancelled and counted by its id."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.checkpoints.stores import REDIS_URL, postgres_database, redis_store
from tests.provider import KEY, FakeProvider, Fault, Reply
from tests.service import Client, process, read_events, serving
from tests.waiting import eventually_sync

MINE = "0b9c4cd2-6b3e-4c07-9c6e-1f6a2ad4f0a1"
STALL = Fault("stall", reply=Reply("one two three four five"), after=3)


def asking(provider: FakeProvider) -> dict[str, str]:
    return {
        "EVERTURN_BASE_URL": provider.url,
        "OPENAI_API_KEY": KEY,
        "EVERTURN_MODELS": "m",
        "EVERTURN_STALL_TIMEOUT": "300",
    }


@pytest.mark.clock
def test_a_streamed_turn_is_joined_again_after_kill_9(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", STALL, "It is done.")
    about: dict[str, Any] = {}
    place = ""
    body = {"message": "Count to five"}
    with (
        process(data_dir, **asking(fake_provider)) as running,
        Client(running.url()) as client,
        suppress(httpx.RemoteProtocolError, httpx.ReadError),
        client.stream("POST", "/api/chat/message/stream", json=body) as response,
    ):
        place = response.headers["content-location"]
        for event in read_events(response):
            about = event.data if event.name == "metadata" else about
            if event.name == "message":
                running.kill()
    session, run = about["session_id"], about["run_id"]
    assert place == f"/threads/{session}/runs/{run}"
    with process(data_dir, **asking(fake_provider)) as running, Client(running.url()) as client:
        joined = f"/api/chat/session/{session}/runs/{run}/stream"
        with client.stream("GET", joined) as response:
            events = list(read_events(response))
        names = [event.name for event in events]
        assert names[-1] == "done"
        assert names.count("done") == 1
        assert [e.data["attempt"] for e in events if e.name == "metadata"][-1] == 2
        said = ""
        for event in events:
            if event.name == "message":
                said += event.data["content"]
            elif event.name == "reset":
                said = said[: -event.data["chars"]]
        assert said == "It is done."
        assert client.get(f"{place}/join").json()["messages"][-1]["content"] == said
        (row,) = client.get(f"/api/chat/history/{session}").json()
        assert (row["user_message"], row["assistant_message"]) == ("Count to five", said)
        messages = client.get(f"/api/chat/session/{session}").json()["messages"]
        assert [each["role"] for each in messages] == ["user", "assistant"]


@pytest.mark.clock
def test_a_message_is_answered_after_kill_9(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("m", "Hello.", STALL, "It is done.")
    with (
        process(data_dir, **asking(fake_provider)) as running,
        Client(running.url()) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        session = client.ask("Hi")["session_id"]
        asked = pool.submit(client.ask, "Count to five", session)
        eventually_sync(lambda: fake_provider.calls() == 2)
        running.kill()
        assert isinstance(asked.exception(), httpx.TransportError)
    with process(data_dir, **asking(fake_provider)) as running, Client(running.url()) as client:
        history = f"/api/chat/history/{session}"
        eventually_sync(lambda: len(client.get(history).json()) == 2)
        rows = client.get(history).json()
    assert [row["assistant_message"] for row in rows] == ["Hello.", "It is done."]


@pytest.mark.clock
async def test_another_process_goes_on_with_a_chat_turn(
    tmp_path: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", STALL, "It is done.")
    async with redis_store() as redis, postgres_database() as database:
        shared = {
            "REDIS_URL": REDIS_URL,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "EVERTURN_REDIS_PREFIX": redis.prefix,
        }
        await asyncio.to_thread(_dies_and_is_joined_elsewhere, tmp_path, fake_provider, shared)


def _dies_and_is_joined_elsewhere(
    tmp_path: Path, fake_provider: FakeProvider, shared: dict[str, str]
) -> None:
    settings = {**asking(fake_provider), **shared}
    with (
        process(tmp_path / "a", **settings) as dies,
        process(tmp_path / "b", **settings) as lives,
        Client(dies.url()) as client,
        Client(lives.url()) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        session = client.post("/api/chat/session", json={"context": {"who": "ada"}}).json()
        asked = pool.submit(client.ask, "Count to five", session["session_id"])
        eventually_sync(lambda: fake_provider.calls() == 1)
        (run,) = other.get(f"/threads/{session['session_id']}/runs").json()
        dies.kill()
        assert isinstance(asked.exception(), httpx.TransportError)
        joined = f"/api/chat/session/{session['session_id']}/runs/{run['run_id']}/stream"
        with other.stream("GET", joined) as response:
            events = list(read_events(response))
        assert [event.name for event in events][-2:] == ["message", "done"]
        assert (events[-2].data["content"], events[-1].data["model"]) == ("It is done.", "m")
        (row,) = other.get(f"/api/chat/history/{session['session_id']}").json()
        assert row["assistant_message"] == "It is done."
        shown = other.get(f"/api/chat/session/{session['session_id']}").json()
        assert shown["context"] == {"who": "ada"}


def test_a_chat_turn_is_cancelled_by_its_id(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("m", STALL, "Fine.")
    settings = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "m"}
    with serving(data_dir, **settings, stall_timeout=300.0) as client:
        body = {"message": "Count to five"}
        with client.stream("POST", "/api/chat/message/stream", json=body) as response:
            place = response.headers["content-location"]
            events = []
            for event in read_events(response):
                events.append(event)
                if [each.name for each in events].count("message") == 1:
                    client.post(f"{place}/cancel")
        assert (events[-1].name, events[-1].data["type"]) == ("error", "run-cancelled")
        run = client.get(place).json()
        assert run["status"] == "interrupted"
        assert client.get(f"/threads/{run['thread_id']}").json()["status"] in {
            "idle",
            "interrupted",
        }
        again = client.ask("Go on", run["thread_id"])
    assert again["response"]


def test_every_door_counts_its_turns_and_says_where_they_are(data_dir: Path) -> None:
    said = {"messages": [{"role": "user", "content": "Calculate 6 * 7"}]}
    run = {"assistant_id": "agent", "input": said}
    with serving(data_dir) as client:
        first = client.ask("Calculate 6 * 7")
        session = first["session_id"]
        client.events("/api/chat/message/stream", {"message": "hi", "session_id": session})
        assert client.post("/invoke", json={"input": said}).status_code == 200
        kept = client.post("/invoke", json={"input": said, "thread_id": MINE})
        client.events("/stream", {"input": said})
        for path in ("/runs/wait", f"/threads/{session}/runs/wait"):
            assert client.post(path, json=run).status_code == 200
        for path in ("/runs/stream", f"/threads/{session}/runs/stream"):
            assert client.post(path, json=run).status_code == 200
        started = client.post(f"/threads/{session}/runs", json=run).json()
        client.get(f"/threads/{session}/runs/{started['run_id']}/join")
        metrics = client.get("/metrics").text
        thread = client.get(f"/threads/{MINE}").status_code
        runs = client.get(f"/threads/{session}/runs").json()
    counted = {
        line.partition('endpoint="')[2].partition('"')[0]: float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("chat_requests_total{")
    }
    assert counted == {
        "/api/chat/message": 1,
        "/api/chat/message/stream": 1,
        "/invoke": 2,
        "/stream": 1,
        "/runs/wait": 2,
        "/runs/stream": 2,
        "/runs": 1,
    }
    assert kept.headers["content-location"].startswith(f"/threads/{MINE}/runs/")
    assert thread == 200
    assert len(runs) == 5
    assert first["run_id"] in {each["run_id"] for each in runs}


def test_an_invocation_on_a_thread_is_seen_by_the_agent_server_api(data_dir: Path) -> None:
    said = {"messages": [{"role": "user", "content": "Calculate 6 * 7"}]}
    with serving(data_dir) as client:
        assert client.post("/invoke", json={"input": said, "thread_id": MINE}).status_code == 200
        found = client.get(f"/threads/{MINE}").json()
        assert found["status"] == "idle"
        assert len(found["values"]["messages"]) == 4
        assert json.loads(client.get(f"/threads/{MINE}/runs").text)[0]["status"] == "success"


def test_no_turn_outlives_the_deletion_of_its_thread(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", Reply("Hello there, all of you.", between=0.01))
    settings = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "m"}
    with serving(data_dir, **settings) as client, ThreadPoolExecutor(6) as pool:
        for _ in range(6):
            session = client.post("/api/chat/session").json()["session_id"]
            asked = {"message": "hi", "session_id": session}
            turns = [pool.submit(client.post, "/api/chat/message", json=asked) for _ in range(4)]
            gone = pool.submit(client.delete, f"/api/chat/session/{session}")
            turns += [pool.submit(client.post, "/api/chat/message", json=asked) for _ in range(4)]
            assert gone.result().status_code == 204
            for turn in turns:
                assert turn.result().status_code in {200, 404, 409}
            assert client.get(f"/api/chat/history/{session}").status_code == 404
            assert client.get(f"/threads/{session}").status_code == 404
            assert client.get(f"/threads/{session}/runs").status_code == 404


def test_the_id_of_an_expired_session_begins_anew(data_dir: Path) -> None:
    said = {"messages": [{"role": "user", "content": "Calculate 6 * 7"}]}
    with serving(data_dir, session_ttl=1) as client:
        session = client.ask("Calculate 1 + 1")["session_id"]
        eventually_sync(lambda: client.get(f"/threads/{session}").status_code == 404)
        found = client.post("/threads/search", json={"ids": [session]}).json()
        assert found == []
        invoked = client.post("/invoke", json={"input": said, "thread_id": session})
        assert len(invoked.json()["messages"]) == 4
        assert len(client.get(f"/threads/{session}").json()["values"]["messages"]) == 4
        again = client.ask("Calculate 1 + 1")["session_id"]
        refused = client.patch(f"/threads/{again}", json={"ttl": 60})
        assert refused.status_code == 422
        eventually_sync(lambda: client.get(f"/threads/{again}").status_code == 404)
        assert client.post("/threads", json={"thread_id": again}).status_code == 200


@pytest.mark.parametrize("thread", ["한국", "a/b", "%41", ".."])
def test_any_text_names_a_thread_of_invoke(client: Client, thread: str) -> None:
    asked = {"input": {"messages": "hi"}, "thread_id": thread}
    made = client.post("/invoke", json=asked)
    assert made.status_code == 200, made.text
    assert "content-location" not in made.headers
    assert client.ask("hi again", thread)["session_id"] == thread


@pytest.mark.parametrize("thread", ["x\nSet-Cookie: a=1", "\0", "\x7f"])
def test_control_characters_name_none(client: Client, thread: str) -> None:
    asked = {"input": {"messages": "hi"}, "thread_id": thread}
    assert client.post("/invoke", json=asked).status_code == 422
    asked = {"message": "hi", "session_id": thread}
    assert client.post("/api/chat/message", json=asked).status_code == 422
