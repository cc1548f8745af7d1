"""Streams of the event protocol that are cut, and taken up again, and runs of every door."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest

from tests.checkpoints.stores import REDIS_URL, postgres_database, redis_store
from tests.server.streams.protocol_types import checked
from tests.service import ROOT, Client, process, serving
from tests.waiting import PATIENCE

Json = dict[str, Any]
CHANNELS = [
    *("values", "updates", "messages", "tools", "lifecycle"),
    *("input", "checkpoints", "tasks", "custom"),
]
GRAPHS = {
    "nested": "tests/server/gated_graph.py:nested",
    "gated": "tests/server/gated_graph.py:graph",
    "agent": "graph/agent.py:graph",
    "chat": "graph/chat.py:graph",
}
pytestmark = pytest.mark.slow


class Told(NamedTuple):
    """An event."""

    place: str | None
    """To come back to by `Last-Event-ID`."""
    seq: int | None
    method: str
    namespace: tuple[str, ...]
    data: Any
    timestamp: int
    """When it happened, however often it is sent."""

    @property
    def ends(self) -> bool:
        """Whether a run has ended."""
        ended = self.method == "lifecycle" and self.data["event"] in {"completed", "failed"}
        return ended and not self.namespace


def follow(url: str, thread_id: str, last: str | None = None, **more: Any) -> Iterator[Told]:
    """Yield what happens on a thread until the caller has enough, each event of its type."""
    headers = {"Last-Event-ID": last} if last else {}
    body = {"channels": CHANNELS, **more}
    path = f"{url}/threads/{thread_id}/stream/events"
    with httpx.stream("POST", path, json=body, headers=headers, timeout=PATIENCE) as answer:
        assert answer.status_code == 200, answer.read()
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                event = checked(json.loads(fields["data"]))
                params = event["params"]
                yield Told(
                    fields.get("id"),
                    event.get("seq"),
                    event["method"],
                    tuple(params["namespace"]),
                    params["data"],
                    params["timestamp"],
                )
                fields = {}


def whole(following: Iterator[Told], runs: int = 1) -> list[Told]:
    """What happens until so many runs have ended."""
    events: list[Told] = []
    while sum(event.ends for event in events) < runs:
        events.append(next(following))
    following.close()  # type: ignore[attr-defined]  # it is a generator
    return events


def texts(events: list[Told]) -> list[str]:
    """What messages say in words."""
    ended = [each.data for each in events if each.data.get("event") == "content-block-finish"]
    return [each["content"]["text"] for each in ended if each["content"]["type"] == "text"]


def start(url: str, thread_id: str, words: str, assistant: str = "gated") -> None:
    said = {"messages": [{"role": "user", "content": words}]}
    params = {"assistant_id": assistant, "input": said}
    command = {"id": 1, "method": "run.start", "params": params}
    answer = httpx.post(f"{url}/threads/{thread_id}/commands", json=command, timeout=PATIENCE)
    assert answer.json()["type"] == "success", answer.text


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("cuts") / "langgraph.json"
    file.write_text(json.dumps({"graphs": {name: f"{ROOT / at}" for name, at in GRAPHS.items()}}))
    return file


@pytest.fixture(scope="module")
def served(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("cuts") / "data", config=config) as client:
        yield client


def test_after_each_event_comes_exactly_the_rest(served: Client) -> None:
    url, thread_id = str(served.base_url).rstrip("/"), str(uuid4())
    start(url, thread_id, "look one two", "nested")
    first = whole(follow(url, thread_id))
    start(url, thread_id, "three")
    both = whole(follow(url, thread_id, first[0].place), 2)
    assert both[: len(first) - 1] == first[1:]
    events = [first[0], *both]
    assert whole(follow(url, thread_id)) == events[len(first) :], "the newest run, to begin with"
    for number, event in enumerate(events[:-1], 1):
        rest = events[number:]
        runs = sum(each.ends for each in rest)
        assert whole(follow(url, thread_id, event.place), runs) == rest
        assert whole(follow(url, thread_id, since=event.seq), runs) == rest


def test_a_client_that_comes_back_after_its_service_was_killed_has_all(
    config: Path, tmp_path: Path
) -> None:
    gate, thread_id, data = tmp_path / "gate", str(uuid4()), tmp_path / "data"
    asked = f"look one two @{gate} three"
    before: list[Told] = []
    with process(data, EVERTURN_CONFIG=str(config)) as first:
        url = first.url()
        start(url, thread_id, asked)
        following = follow(url, thread_id)
        for event in following:
            before.append(event)
            if event.method == "messages" and event.data.get("delta", {}).get("text") == "two ":
                break
        first.kill()
    gate.touch()
    with process(data, EVERTURN_CONFIG=str(config)) as second:
        url = second.url()
        after = whole(follow(url, thread_id, before[-1].place))
        assert whole(follow(url, thread_id, since=before[-1].seq)) == after
        events = [*before, *after]
        # What it was sent last, no log has: that is written a moment later.
        logged = whole(follow(url, thread_id))
        assert [event for event in events if event in logged] == logged
    assert len({event.place for event in events}) == len(events)
    seqs = [event.seq or 0 for event in events]
    assert seqs == sorted(set(seqs))
    *_, last = (event.data for event in events if event.method == "values")
    assert last["messages"][-1]["content"].strip() == "one two three"


async def test_another_instance_tells_the_same(config: Path, tmp_path: Path) -> None:
    gate, thread_id = tmp_path / "gate", str(uuid4())
    async with redis_store() as redis, postgres_database() as database:
        stores = {
            "REDIS_URL": REDIS_URL,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "EVERTURN_REDIS_PREFIX": redis.prefix,
            "EVERTURN_CONFIG": str(config),
        }
        with process(tmp_path / "a", **stores) as a, process(tmp_path / "b", **stores) as b:
            here, there = a.url(), b.url()
            start(here, thread_id, f"one @{gate} two")
            following = follow(there, thread_id)
            before = [next(following) for _ in range(4)]
            gate.touch()
            events = [*before, *whole(following)]
            assert whole(follow(here, thread_id)) == events
            for event in events[:-1:3]:
                rest = whole(follow(there, thread_id, event.place))
                assert rest == whole(follow(here, thread_id, since=event.seq))
                assert [*events[: -len(rest)], *rest] == events


@pytest.mark.parametrize("door", ["/api/chat/message", "/api/chat/message/stream"])
def test_a_turn_of_the_chat_is_followed(served: Client, door: str) -> None:
    thread_id = served.ask("hello")["session_id"]
    url = str(served.base_url).rstrip("/")
    (*_, last) = whole(follow(url, thread_id))
    answer = served.post(door, json={"message": "What is 6 * 7?", "session_id": thread_id})
    assert answer.status_code == 200
    events = whole(follow(url, thread_id, last.place))
    lives = [each.data["event"] for each in events if each.method == "lifecycle"]
    assert (lives[0], lives[-1]) == ("running", "completed")
    state = [each.data for each in events if each.method == "values"][-1]
    assert "42" in state["messages"][-1]["content"]
    assert "42" in texts(events)[-1]


@pytest.mark.parametrize("mode", ["values", "messages-tuple", "updates"])
def test_listeners_of_both_versions_agree(served: Client, mode: str) -> None:
    url, thread_id = str(served.base_url).rstrip("/"), str(uuid4())
    start(url, thread_id, "zero")
    (*_, last) = whole(follow(url, thread_id))
    body = {
        "assistant_id": "gated",
        "input": {"messages": [{"role": "user", "content": "look one two"}]},
        "stream_mode": [mode],
    }
    parts = served.events(f"/threads/{thread_id}/runs/stream", body)
    events = whole(follow(url, thread_id, last.place))
    state = served.get(f"/threads/{thread_id}/state").json()["values"]
    assert [each.data for each in events if each.method == "values"][-1] == state
    if mode == "values":
        assert [part.data for part in parts if part.name == "values"][-1] == state
    lives = [each.data["event"] for each in events if each.method == "lifecycle"]
    assert lives == ["running", "completed"]
    assert texts(events) == ["one two "]
