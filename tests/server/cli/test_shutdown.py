"""Being told to stop: turns end, or are ended with a word, and the process leaves with 0."""

import asyncio
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.threads import ThreadTable, new_thread
from tests.provider import KEY, FakeProvider, Reply
from tests.service import Client, Event, process, read_events
from tests.waiting import PATIENCE, eventually_sync

pytestmark = pytest.mark.clock

SLOW = Reply("word " * 400, between=0.05)


def _stream(url: str, begun: threading.Event) -> list[Event]:
    events = []
    with (
        Client(url) as client,
        client.stream("POST", "/api/chat/message/stream", json={"message": "go"}) as response,
    ):
        for event in read_events(response):
            events.append(event)
            begun.set()
    return events


def test_turns_that_take_too_long_are_ended_with_a_word(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", SLOW)
    environment = {
        "EVERTURN_BASE_URL": fake_provider.url,
        "OPENAI_API_KEY": KEY,
        "EVERTURN_MODELS": "m",
    }
    begun = threading.Event()
    with (
        ThreadPoolExecutor(2) as pool,
        process(data_dir, EVERTURN_SHUTDOWN_GRACE="0.5", **environment) as running,
        Client(running.url()) as client,
    ):
        waiting = pool.submit(client.post, "/api/chat/message", json={"message": "go"})
        streaming = pool.submit(_stream, running.url_found, begun)
        assert begun.wait(PATIENCE)
        eventually_sync(lambda: fake_provider.calls() == 2)
        assert running.stop() == 0
        events, refused = streaming.result(), waiting.result()
    assert events[-1].name == "error"
    assert events[-1].data["type"] == "shutting-down"
    assert refused.status_code == 503
    assert refused.json()["type"] == "shutting-down"
    assert refused.headers["retry-after"]
    assert "Traceback" not in "".join(running.log)
    # Both clients were told to ask again, so the next process must not run their turns.
    with process(data_dir, **environment) as running, Client(running.url()) as client:
        for session in client.get("/api/chat/sessions").json()["sessions"]:
            runs = client.get(f"/threads/{session['session_id']}/runs").json()
            assert [run["status"] for run in runs] == ["error"]
    assert fake_provider.calls() == 2


def test_turns_within_the_grace_end_as_they_would(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", Reply("word " * 20, between=0.05))
    environment = {
        "EVERTURN_BASE_URL": fake_provider.url,
        "OPENAI_API_KEY": KEY,
        "EVERTURN_MODELS": "m",
    }
    begun = threading.Event()
    with ThreadPoolExecutor(1) as pool, process(data_dir, **environment) as running:
        streaming = pool.submit(_stream, running.url(), begun)
        assert begun.wait(PATIENCE)
        assert running.stop() == 0
        assert streaming.result()[-1].name == "done"


def test_a_start_that_hangs_can_be_stopped(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with process(data_dir, REDIS_URL=f"redis://127.0.0.1:{port}/0") as running:
            connection, _ = silent.accept()
            with connection:
                running.popen.send_signal(signal.SIGTERM)
                assert running.popen.wait(20) == 0


def test_searches_without_end_stop_neither_readiness_nor_the_end(data_dir: Path) -> None:
    asyncio.run(_keep_what_is_slow_to_search(data_dir))
    slow = {"metadata": {"a": [{"a": 3299}] * 60}}

    def search(url: str) -> httpx.Response | None:
        with Client(url) as client:
            try:
                return client.post("/threads/search", json=slow)
            except httpx.TransportError:  # the process has ended
                return None

    with (
        ThreadPoolExecutor(8) as pool,
        process(data_dir, EVERTURN_SHUTDOWN_GRACE="0") as running,
        Client(running.url()) as client,
    ):
        searches = [pool.submit(search, running.url_found) for _ in range(8)]
        assert searches[0].result() is not None
        for _ in range(5):
            assert client.get("/ready").status_code == 200
        searches += [pool.submit(search, running.url_found) for _ in range(8)]
        assert running.stop() == 0
        answers = [each.result() for each in searches]
    ended = [each for each in answers if each is not None and each.status_code == 503]
    told = {"search-timeout", "shutting-down"}
    assert {each.json()["type"] for each in ended} <= told


async def _keep_what_is_slow_to_search(data_dir: Path) -> None:
    async with open_database(None, data_dir) as database:
        table = ThreadTable(database)
        for _ in range(300):
            await table.create(new_thread(metadata={"a": [{"a": each} for each in range(3300)]}))
