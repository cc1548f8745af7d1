"""Where clients of the event protocol come back to: odd places, deleted runs, runs meanwhile."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.server.api.agent_server.test_thread_socket import lives, talking
from tests.service import ROOT, Client, serving

TOY = ROOT / "tests" / "server" / "toy_graph.py"
STEPS = ROOT / "tests" / "server" / "stepping_graph.py"
Json = dict[str, Any]

pytestmark = pytest.mark.slow

TURN = {"assistant_id": "toy", "input": {"words": "seven times three"}}
ENDED = {"completed", "failed", "interrupted"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("cursors")
    config = folder / "langgraph.json"
    graphs = {"toy": f"{TOY}:graph", "steps": f"{STEPS}:graph"}
    config.write_text(json.dumps({"graphs": graphs}))
    with serving(folder / "data", config=config) as client:
        yield client


@pytest.fixture
def thread_id(served: Client) -> str:
    thread_id = str(uuid4())
    start(served, thread_id)
    return thread_id


def start(served: Client, thread_id: str, headers: dict[str, str] | None = None) -> str:
    command = {"id": 1, "method": "run.start", "params": TURN}
    path = f"/threads/{thread_id}/commands"
    answer = served.post(path, json=command, headers=headers).raise_for_status()
    run_id: str = answer.json()["result"]["run_id"]
    return run_id


def follow(response: httpx.Response) -> Iterator[Json]:
    """The events of an open stream, to the end of a run."""
    assert response.status_code == 200
    return follow_lines(response.iter_lines())


def follow_lines(lines: Iterator[str]) -> Iterator[Json]:
    """The events of an open stream, to the end of one run: the next may be read after it."""
    for line in lines:
        if line.startswith("data: "):
            yield (event := json.loads(line.removeprefix("data: ")))
            if lives(event) in ENDED:
                return


def events(served: Client, thread_id: str, last: str | None = None) -> list[Json]:
    headers = {"Last-Event-ID": last} if last else {}
    path, body = f"/threads/{thread_id}/stream/events", {"channels": ["lifecycle", "values"]}
    with served.stream("POST", path, json=body, headers=headers) as response:
        return list(follow(response))


def test_who_listens_already_gets_all_of_a_run_with_an_idempotency_key(
    served: Client, thread_id: str
) -> None:
    events(served, thread_id)  # until its first run has ended
    path, body = f"/threads/{thread_id}/stream/events", {"channels": ["lifecycle", "values"]}
    with served.stream("POST", path, json=body) as response:
        lines = response.iter_lines()
        first = list(follow_lines(lines))
        for _ in range(5):  # its row is written meanwhile: now before, now after one looks for it
            start(served, thread_id, {"Idempotency-Key": str(uuid4())})
            run = list(follow_lines(lines))
            assert [each["method"] for each in run] == [each["method"] for each in first]
            assert all(each.get("seq") for each in run)


@pytest.mark.parametrize("last", ["nonsense", "9" * 5000, "r.1-1." + "9" * 5000, "synth:", "-"])
def test_what_is_no_place_is_the_beginning(served: Client, thread_id: str, last: str) -> None:
    assert lives(events(served, thread_id, last)[0]) == "running"


def test_the_id_of_any_event_is_a_place(served: Client, thread_id: str) -> None:
    every = events(served, thread_id)
    assert every[0]["event_id"].startswith("synth:")
    rest = events(served, thread_id, every[0]["event_id"])
    assert [e["event_id"] for e in rest] == [e["event_id"] for e in every[1:]]


def test_a_number_that_never_was_hides_no_later_run(served: Client, thread_id: str) -> None:
    path = f"/threads/{thread_id}/stream/events"
    body = {"channels": ["lifecycle"], "since": 2**53 - 1}
    events(served, thread_id)  # it has ended
    with served.stream("POST", path, json=body) as response:
        lines = response.iter_lines()
        next(lines)  # it is quiet: what is newest was looked for, and is the run before
        run_id = start(served, thread_id)
        assert all(run_id in event["event_id"] for event in follow_lines(lines))


def test_what_comes_after_a_run_that_was_rolled_back_is_told(
    served: Client, thread_id: str, tmp_path: Path
) -> None:
    with talking(served, thread_id) as talk:
        talk.done("subscription.subscribe", channels=["lifecycle", "values"])
        talk.ended()
        given = {"messages": [], "seen": [], "gates": [str(tmp_path / "never")]}
        gone = talk.done("run.start", assistant_id="steps", input=given)["run_id"]
        talk.until(lambda e: gone in e["event_id"] and e["method"] == "values")
        talk.done("run.cancel", run_id=gone, action="rollback", wait=True)
        talk.until(lambda e: gone in e["event_id"] and lives(e) == "completed")
        run_id = talk.done("run.start", **TURN)["run_id"]
        told = talk.until(lambda e: run_id in e["event_id"] and lives(e) == "completed")
    lived = [lives(event) for event in told if run_id in event["event_id"]]
    assert lived[0] == "running"
    seqs = [event["seq"] for event in told]
    assert seqs == sorted(set(seqs))


def test_a_later_subscription_begins_where_its_socket_does(served: Client, thread_id: str) -> None:
    with talking(served, thread_id) as talk:
        talk.done("subscription.subscribe", channels=["lifecycle"])
        talk.ended()
        first = talk.events[0]["event_id"]
        run_id = talk.done("run.start", **TURN)["run_id"]
        talk.until(lambda e: run_id in e["event_id"] and lives(e) == "completed")
        talk.done("subscription.subscribe", channels=["values"])
        told = talk.until(lambda e: e["method"] == "values" and run_id in e["event_id"])
    values = [event for event in told if event["method"] == "values"]
    assert values[0]["event_id"].split(".")[0] in first


def test_a_command_may_come_in_bytes(served: Client, thread_id: str) -> None:
    with talking(served, thread_id) as talk:
        talk._socket.send(b'{"id": 7, "method": "state.get", "params": {}}')
        assert talk._next()["id"] == 7
        talk._socket.send(b"")
        assert talk._next()["error"] == "invalid_argument"
        talk._socket.send(b"\xff")
        assert talk._next()["error"] == "invalid_argument"


def test_subscriptions_have_names_of_their_own_and_are_not_too_many(
    served: Client, thread_id: str
) -> None:
    with talking(served, thread_id) as talk:
        names = [
            talk.done("subscription.subscribe", channels=["input"])["subscription_id"]
            for _ in range(2)
        ]
        talk.done("subscription.unsubscribe", subscription_id=names[0])
        third = talk.done("subscription.subscribe", channels=["input"])["subscription_id"]
        assert third != names[1]
        about = third.partition(".")[2]
        many = [f"{number}.{about}" for number in range(100)]
        assert talk.done("subscription.reconnect", subscriptions=many)["restored"] is True
        more = [f"{number}.{about}" for number in range(100, 200)]
        answer = talk.send("subscription.reconnect", subscriptions=more)
    assert answer["error"] == "invalid_argument"
