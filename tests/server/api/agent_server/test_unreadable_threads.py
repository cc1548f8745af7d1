"""Threads whose state a graph refuses: they hide no other, say what is wrong, and can be mended."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.server.shelf import SHELF
from tests.service import ROOT, Client, serving
from tests.waiting import eventually_sync

ANY = ROOT / "tests" / "server" / "any_graph.py"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("unreadable")
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"any": f"{ANY}:graph"}}))
    with serving(folder / "data", config=config) as client:
        yield client


@pytest.fixture
def thread(served: Client) -> str:
    return str(served.post("/threads", json={}).json()["thread_id"])


@contextmanager
def refused() -> Iterator[None]:
    """The graph's reducer refuses what it has taken before: a deployment has changed it."""
    SHELF["refuses"] = True
    try:
        yield
    finally:
        del SHELF["refuses"]


def run(client: Client, thread: str, **how: Any) -> Any:
    response = client.post(f"/threads/{thread}/runs/wait", json={"assistant_id": "any", **how})
    assert response.status_code == 200, response.text
    return response.json()


def update(client: Client, thread: str, what: Any) -> Any:
    return run(client, thread, command={"update": what})


def state(client: Client, thread: str) -> Any:
    response = client.get(f"/threads/{thread}/state")
    assert response.status_code == 200, response.text
    return response.json()["values"]


def with_a_pending_update(client: Client, thread: str) -> None:
    run(client, thread, input={"value": 1})
    assert update(client, thread, {"strict": ["a"]})["strict"] == ["a"]


def test_updates_by_commands_follow_each_other(served: Client, thread: str) -> None:
    run(served, thread, input={"value": 1})
    for value in (2, 3, 4):
        assert update(served, thread, {"value": value, "several": [value]})["value"] == value
    assert (state(served, thread)["value"], state(served, thread)["several"]) == (4, [2, 3, 4])
    history = served.post(f"/threads/{thread}/history", json={"limit": 9}).json()
    assert [each["values"].get("value") for each in history] == [4, 3, 2, 1, None]


def test_an_update_that_is_refused_leaves_the_thread_as_it_was(served: Client, thread: str) -> None:
    run(served, thread, input={"value": 1})
    failure = update(served, thread, [["value", 2], ["value", 3]])["__error__"]
    assert failure["error"] == "InvalidUpdateError"
    assert state(served, thread)["value"] == 1
    history = served.post(f"/threads/{thread}/history", json={"limit": 9}).json()
    assert [each["values"].get("value") for each in history] == [1, None, 1, None]
    assert "one value per step" in history[1]["tasks"][0]["error"]
    assert len(served.get(f"/threads/{thread}/history?limit=2").json()) == 2
    assert run(served, thread, input={"value": 4})["value"] == 4


def test_one_thread_that_cannot_be_read_hides_no_other(served: Client, thread: str) -> None:
    well = str(served.post("/threads", json={}).json()["thread_id"])
    run(served, well, input={"value": 5})
    with_a_pending_update(served, thread)
    last = served.get(f"/threads/{thread}/runs").json()[0]["run_id"]
    with refused():
        found = served.post("/threads/search", json={"ids": [thread, well]})
        assert found.status_code == 200
        listed = {each["thread_id"]: each for each in found.json()}
        assert listed[well]["values"]["value"] == 5
        assert (listed[well]["error"], listed[thread]["values"]) == (None, None)
        assert listed[thread]["error"]["error"] == "StateUnreadable"
        assert "the reducer refuses. Write it anew" in listed[thread]["error"]["message"]
        assert served.get(f"/threads/{thread}").json() == listed[thread]
        count = served.post("/threads/count", json={"values": {"value": 5}})
        assert count.json() >= 1
        for read in (
            served.get(f"/threads/{thread}/state"),
            served.post(f"/threads/{thread}/state/checkpoint", json={"checkpoint": {}}),
            served.get(f"/api/chat/session/{thread}"),
        ):
            problem = read.json()
            assert (read.status_code, problem["type"]) == (409, "state-unreadable"), problem
            assert f"POST /threads/{thread}/state" in problem["detail"]
        history = served.post(f"/threads/{thread}/history", json={"limit": 9}).json()
        assert [each["values"].get("value") for each in history] == [None, 1, None]
        # Shortly after its end a run is still answered from memory.
        join = f"/threads/{thread}/runs/{last}/join"
        failure = eventually_sync(lambda: served.get(join).json().get("__error__"))
        assert failure["error"] == "StateUnreadable"
        copied = served.post(f"/threads/{thread}/copy").json()
        assert copied["error"]["error"] == "StateUnreadable"
    assert state(served, copied["thread_id"])["strict"] == ["a"]
    assert state(served, thread)["strict"] == ["a"]


def test_the_next_run_mends_a_thread(served: Client, thread: str) -> None:
    with_a_pending_update(served, thread)
    with refused():
        assert run(served, thread, input={"value": 2})["__error__"]["error"] == "RuntimeError"
        assert state(served, thread)["value"] == 1
        assert run(served, thread, input={"value": 3})["value"] == 3


def test_a_change_of_the_state_mends_a_thread(served: Client, thread: str) -> None:
    with_a_pending_update(served, thread)
    with refused():
        body = {"values": {"value": 2}, "as_node": "give"}
        changed = served.post(f"/threads/{thread}/state", json=body)
        assert changed.status_code == 200, changed.text
        assert state(served, thread)["value"] == 2


def test_a_thread_that_cannot_be_read_can_be_deleted(served: Client, thread: str) -> None:
    with_a_pending_update(served, thread)
    with refused():
        assert served.delete(f"/threads/{thread}").status_code == 204
        assert served.get(f"/threads/{thread}").status_code == 404


def test_what_cannot_be_stored_fails_its_run_and_names_the_channel(
    served: Client, thread: str
) -> None:
    run(served, thread, input={"value": 1})
    SHELF["function"] = {"called": lambda: None}
    failure = run(served, thread, input={"do": "return", "shelf": "function"})["__error__"]
    assert failure["error"] == "Unserializable"
    assert "'messages' holds a dict that cannot be stored: at 'called'" in failure["message"]
    assert "Keep it out of the state" in failure["message"]
    assert state(served, thread)["value"] == 1
    assert run(served, thread, input={"do": "nothing", "value": 2})["value"] == 2


@pytest.mark.parametrize(
    "messages", ["text", ["text", {"a": 1}], {"a": 1}, 7, None, [["human", "hi"]], [{"type": []}]]
)
def test_a_channel_called_messages_may_hold_anything(
    served: Client, thread: str, messages: Any
) -> None:
    assert run(served, thread, input={"messages": messages})["messages"] == messages
    body = {"assistant_id": "any", "input": {"messages": messages}, "stream_mode": ["messages"]}
    events = served.events(f"/threads/{thread}/runs/stream", body)
    assert "error" not in [event.name for event in events]
    assert served.post("/invoke", json={"graph": "any", "input": body["input"]}).status_code == 200
    assert state(served, thread)["messages"] == messages
    assert served.get(f"/api/chat/session/{thread}").json()["messages"] == []
    asked = {"agent": "any", "message": "hello", "session_id": thread}
    answer = served.post("/api/chat/message", json=asked)
    assert answer.status_code == 200, answer.text
    events = served.events("/api/chat/message/stream", asked)
    assert events[-1].name == "done"
