"""The event protocol over a WebSocket: real sockets, commands in, answers and events out."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.server.access.own_keys import bearer, key_in, revoke_in
from tests.server.streams.protocol_types import checked
from tests.service import ROOT, Client, serving
from tests.waiting import PATIENCE

TOY = ROOT / "tests" / "server" / "toy_graph.py"
Json = dict[str, Any]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("socket")
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    with serving(folder / "data", config=config) as client:
        yield client


class Talk:
    """One socket of one thread: answers by their commands, and the events in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._count = 0
        self.events: list[Json] = []

    def send(self, method: str, **params: Any) -> Json:
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while "type" in (message := self._next()) and message["type"] == "event":
            self.events.append(checked(message))
        assert message["id"] == self._count
        return message

    def raw(self, text: str) -> Json:
        self._socket.send(text)
        return self._next()

    def done(self, method: str, **params: Any) -> Json:
        answer = self.send(method, **params)
        assert answer["type"] == "success", answer
        found: Json = answer["result"]
        return found

    def until(self, wanted: Callable[[Json], bool]) -> list[Json]:
        """Read on to an event; return those from the beginning."""
        while not any(wanted(event) for event in self.events):
            self.events.append(checked(self._next()))
        return self.events

    def ended(self) -> list[Json]:
        return self.until(lambda e: lives(e) in {"completed", "failed", "interrupted"})

    def _next(self) -> Json:
        found: Json = json.loads(self._socket.recv(timeout=PATIENCE))
        return found


@contextmanager
def talking(served: Client, thread_id: str, **headers: str) -> Iterator[Talk]:
    url = str(served.base_url.copy_with(scheme="ws", path=f"/threads/{thread_id}/stream/events"))
    with connect(url, additional_headers=headers, proxy=None, open_timeout=PATIENCE) as socket:
        yield Talk(socket)


def lives(event: Json) -> str | None:
    root = event["method"] == "lifecycle" and not event["params"]["namespace"]
    return event["params"]["data"]["event"] if root else None


def methods(events: list[Json]) -> set[str]:
    return {event["method"] for event in events}


TURN = {"assistant_id": "toy", "input": {"words": "seven times three"}}


@pytest.fixture
def thread_id() -> str:
    return str(uuid4())


def test_a_run_is_started_and_told_on_one_socket(served: Client, thread_id: str) -> None:
    with talking(served, thread_id) as talk:
        talk.done("subscription.subscribe", channels=["lifecycle", "messages", "values"])
        run_id = talk.done("run.start", **TURN)["run_id"]
        events = talk.ended()
    assert methods(events) == {"lifecycle", "messages", "values"}
    deltas = [e["params"]["data"].get("delta", {}).get("text", "") for e in events]
    assert "".join(deltas) == "seven times three"
    assert all(run_id in event["event_id"] for event in events)
    seqs = [event["seq"] for event in events]
    assert seqs == sorted(set(seqs))


def test_a_later_subscription_gets_what_it_lacks_and_nothing_twice(
    served: Client, thread_id: str
) -> None:
    with talking(served, thread_id) as talk:
        talk.done("subscription.subscribe", channels=["lifecycle"])
        talk.done("run.start", **TURN)
        talk.ended()
        talk.done("subscription.subscribe", channels=["lifecycle", "messages"])
        events = talk.until(lambda e: e["params"]["data"].get("event") == "message-finish")
    ids = [event["event_id"] for event in events]
    assert len(ids) == len(set(ids))
    assert methods(events) == {"lifecycle", "messages"}


def test_who_unsubscribes_is_told_no_more(served: Client, thread_id: str) -> None:
    with talking(served, thread_id) as talk:
        name = talk.done("subscription.subscribe", channels=["messages"])["subscription_id"]
        talk.done("subscription.subscribe", channels=["lifecycle"])
        talk.done("subscription.unsubscribe", subscription_id=name)
        talk.done("run.start", **TURN)
        assert methods(talk.ended()) == {"lifecycle"}
        answer = talk.send("subscription.unsubscribe", subscription_id=name)
    assert (answer["type"], answer["error"]) == ("error", "no_such_subscription")


def test_another_socket_takes_subscriptions_up_where_they_were(
    served: Client, thread_id: str
) -> None:
    with talking(served, thread_id) as first:
        name = first.done("subscription.subscribe", channels=["lifecycle", "values"])
        run_id = first.done("run.start", **TURN)["run_id"]
        events = first.ended()
    for last in (events[0], events[len(events) // 2]):
        with talking(served, thread_id) as second:
            found = second.done(
                "subscription.reconnect",
                run_id=run_id,
                last_event_id=last["event_id"],
                subscriptions=[name["subscription_id"]],
            )
            assert found["restored"] is True
            rest = second.ended()
        assert [e["event_id"] for e in rest] == [
            e["event_id"] for e in events[events.index(last) + 1 :]
        ]


def test_subscriptions_that_never_were_are_not_restored(served: Client, thread_id: str) -> None:
    with talking(served, thread_id) as talk:
        found = talk.done("subscription.reconnect", run_id="r", subscriptions=["0.nonsense"])
    assert found["restored"] is False


def test_turns_of_others_are_seen(served: Client) -> None:
    thread_id = served.post("/threads", json={}).json()["thread_id"]
    with talking(served, thread_id) as talk:
        talk.done("subscription.subscribe", channels=["lifecycle", "messages", "values"])
        body = {"assistant_id": "toy", "input": {"words": "by another door"}}
        served.post(f"/threads/{thread_id}/runs/wait", json=body).raise_for_status()
        events = talk.ended()
    assert methods(events) == {"lifecycle", "messages", "values"}
    values = [e for e in events if e["method"] == "values"][-1]["params"]["data"]
    assert values["messages"][-1]["content"] == "by another door"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("nonsense", "invalid_argument"),
        ("[]", "invalid_argument"),
        ('{"id": 1}', "invalid_argument"),
        ('{"id": 1, "method": "subscription.nonsense", "params": {}}', "unknown_command"),
        ('{"id": 1, "method": "nonsense", "params": {}}', "unknown_command"),
        ('{"id": 1, "method": "subscription.subscribe", "params": {}}', "invalid_argument"),
        (
            '{"id": 1, "method": "subscription.subscribe", "params": {"channels": ["all"]}}',
            "invalid_argument",
        ),
    ],
)
def test_what_is_no_command_is_answered_and_the_socket_goes_on(
    served: Client, thread_id: str, text: str, error: str
) -> None:
    with talking(served, thread_id) as talk:
        answer = talk.raw(text)
        assert (answer["type"], answer["error"]) == ("error", error)
        assert answer["message"]
        assert talk.done("subscription.subscribe", channels=["lifecycle"])


def test_the_stream_ends_with_the_thread(served: Client, thread_id: str) -> None:
    with talking(served, thread_id) as talk:
        talk.done("subscription.subscribe", channels=["lifecycle"])
        talk.done("run.start", **TURN)
        talk.ended()
        served.delete(f"/threads/{thread_id}").raise_for_status()
        with pytest.raises(ConnectionClosed) as closed:
            talk.until(lambda event: False)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


def test_foreign_pages_have_no_socket(served: Client, thread_id: str) -> None:
    refused = pytest.raises(InvalidStatus)
    with refused, talking(served, thread_id, Origin="https://evil.example"):
        pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a service with keys keeps what it has."""
    return tmp_path_factory.mktemp("keys") / "data"


@pytest.fixture(scope="module")
def guarded(data: Path) -> Iterator[Client]:
    config = data.parent / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    with serving(data, config=config, auth="on", rate_limit="3/minute") as client:
        yield client


def test_without_a_key_there_is_no_socket(guarded: Client, thread_id: str) -> None:
    with pytest.raises(InvalidStatus) as refused, talking(guarded, thread_id):
        pass
    assert refused.value.response.status_code == 401


def test_a_revoked_key_ends_the_socket(guarded: Client, data: Path, thread_id: str) -> None:
    key = key_in(data, "ada")
    with talking(guarded, thread_id, **bearer(key)) as talk:
        talk.done("subscription.subscribe", channels=["lifecycle"])
        talk.done("run.start", **TURN)
        revoke_in(data, key)
        with pytest.raises(ConnectionClosed):
            talk.until(lambda event: False)


def test_anothers_thread_is_silent(guarded: Client, data: Path, thread_id: str) -> None:
    ada, bob = key_in(data, "ada2"), key_in(data, "bob2")
    with talking(guarded, thread_id, **bearer(ada)) as hers:
        hers.done("subscription.subscribe", channels=["lifecycle"])
        hers.done("run.start", **TURN)
        hers.ended()
        with talking(guarded, thread_id, **bearer(bob)) as his:
            his.done("subscription.subscribe", channels=["lifecycle", "values"])
            run_id = hers.done("run.start", **TURN)["run_id"]
            hers.until(lambda e: run_id in e["event_id"] and lives(e) == "completed")
            answer = his.send("state.get", namespace=[])  # by now he would have been sent hers
            assert answer["type"] == "error"
            assert his.events == []


def test_turns_are_counted(guarded: Client, data: Path, thread_id: str) -> None:
    with talking(guarded, thread_id, **bearer(key_in(data, "eve"))) as talk:
        answers = [talk.send("run.start", **TURN) for _ in range(4)]
    assert [answer["type"] for answer in answers] == ["success"] * 3 + ["error"]
    assert answers[-1]["error"] == "permission_denied"
    assert "come back in" in answers[-1]["message"]
