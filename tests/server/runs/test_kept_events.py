"""What a run streamed is kept for seconds, or for minutes where clients may come back to it."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from tests.checkpoints.stores import REDIS_URL
from tests.service import ROOT, Client, serving
from tests.waiting import eventually_sync

TOY = ROOT / "tests" / "server" / "toy_graph.py"
ASKED = {"assistant_id": "toy", "input": {"words": "a b c"}, "stream_mode": ["messages-tuple"]}


@pytest.fixture(scope="module")
def prefix() -> str:
    return f"test-{uuid4().hex}"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, prefix: str) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("kept")
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    with serving(
        folder / "data", config=config, redis_url=REDIS_URL, redis_prefix=prefix
    ) as served:
        yield served
    with Redis.from_url(REDIS_URL) as redis:
        for key in redis.scan_iter(match=f"*{prefix}*", count=1000):
            redis.delete(key)


def kept(prefix: str, run_id: str) -> int:
    """Seconds that the log of a run is kept, as soon as it has ended there."""
    with Redis.from_url(REDIS_URL) as redis:

        def left() -> int:
            seconds = int(redis.ttl(f"{{{prefix}:run:{run_id}}}:events"))
            return seconds if 0 <= seconds < 3600 else 0

        return eventually_sync(left)


def run_id_of(client: Client, path: str, **more: Any) -> str:
    answer = client.post(path, json={**ASKED, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.headers["Content-Location"].rpartition("/")[2])


@pytest.mark.parametrize("resumable", [False, True])
def test_a_stream(client: Client, prefix: str, resumable: bool) -> None:
    thread = client.post("/threads", json={}).json()["thread_id"]
    for path in ("/runs/stream", f"/threads/{thread}/runs/stream"):
        run_id = run_id_of(client, path, stream_resumable=resumable)
        assert (kept(prefix, run_id) > 10) is resumable


def test_a_background_run(client: Client, prefix: str) -> None:
    """One without a thread leaves nothing else to be asked for."""
    thread = client.post("/threads", json={}).json()["thread_id"]
    assert kept(prefix, run_id_of(client, f"/threads/{thread}/runs")) <= 10
    run_id = run_id_of(client, "/runs")
    assert kept(prefix, run_id) > 10


def test_a_chat_turn_can_be_joined_again(client: Client, prefix: str) -> None:
    body = {"message": "hello", "agent": "toy"}
    events = client.events("/api/chat/message/stream", body)
    assert kept(prefix, events[0].data["run_id"]) > 10
