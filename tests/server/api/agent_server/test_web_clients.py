"""Agent-chat-ui and Studio as the service sees them: their requests in their order, from a browser.

A browser asks by a preflight what a page of another origin may send, and hands on no more of the
answer than CORS lets it; so does `Page`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.service import ROOT, Client, Event, read_events, serving
from tests.waiting import eventually_sync

TOY = ROOT / "tests" / "server" / "toy_graph.py"
CHAT = "http://localhost:3000"
STUDIO = "https://smith.langchain.com"
SAFELISTED = {"cache-control", "content-length", "content-type"}
Json = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What a page is shown of an answer."""

    status: int
    headers: dict[str, str]
    body: Any = None
    events: tuple[Event, ...] = ()

    @property
    def run_id(self) -> str:
        """As LangGraph's client finds it."""
        return self.headers["content-location"].rpartition("/runs/")[2]

    def data(self, name: str) -> list[Any]:
        """The data of all events of a name, of subgraphs too."""
        return [event.data for event in self.events if event.name.partition("|")[0] == name]


@dataclass(frozen=True)
class Page:
    """A page of another origin, in a browser."""

    client: Client
    origin: str
    content_type: str = "application/json"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Seen:
        """Send a request if it is allowed, and read the answer to its end."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"x-api-key": "none", "content-type": self.content_type}
        self._preflight(method, path, sent)
        content = None if body is None else json.dumps(body)
        sent["origin"] = self.origin
        with self.client.stream(method, path, content=content, headers=sent) as answer:
            assert answer.headers["access-control-allow-origin"] == self.origin
            exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
            shown = {name: answer.headers[name] for name in answer.headers if name in exposed}
            shown |= {name: answer.headers[name] for name in SAFELISTED & {*answer.headers}}
            if shown.get("content-type", "").startswith("text/event-stream"):
                return Seen(answer.status_code, shown, events=tuple(read_events(answer)))
            found = answer.read()
        return Seen(answer.status_code, shown, json.loads(found) if found else None)

    def get(self, path: str, **headers: str) -> Any:
        """Ask for something that there is."""
        return self._ok(self.ask("GET", path, **headers)).body

    def post(self, path: str, body: Any) -> Any:
        """Ask for something that can be done."""
        return self._ok(self.ask("POST", path, body)).body

    def stream(self, path: str, body: Any) -> Seen:
        """Ask for events."""
        return self._ok(self.ask("POST", path, body))

    def _ok(self, seen: Seen) -> Seen:
        assert seen.status == 200, seen.body
        return seen

    def _preflight(self, method: str, path: str, sent: dict[str, str]) -> None:
        asked = {
            "origin": self.origin,
            "access-control-request-method": method,
            "access-control-request-headers": ",".join(sorted(sent)),
            "access-control-request-private-network": "true",
        }
        may = self.client.options(path, headers=asked)
        assert may.status_code == 200, may.text
        assert may.headers["access-control-allow-origin"] == self.origin
        assert may.headers["access-control-allow-private-network"] == "true"
        assert method in may.headers["access-control-allow-methods"].split(", ")
        allowed = may.headers["access-control-allow-headers"].lower().split(", ")
        assert allowed == ["*"] or {*sent} <= {name for each in allowed for name in each.split(",")}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("web")
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    with serving(folder / "data", config=config) as client:
        yield client


@pytest.fixture
def chat(served: Client) -> Page:
    return Page(served, CHAT)


@pytest.fixture
def studio(served: Client) -> Page:
    return Page(served, STUDIO, "text/plain;charset=UTF-8")


def said(values: Any) -> list[Any]:
    return [message["content"] for message in values["messages"]]


def asked_by_chat(words: str, **more: Any) -> Json:
    human = {"id": str(uuid4()), "type": "human", "content": [{"type": "text", "text": words}]}
    return {
        "assistant_id": "toy",
        "input": {"messages": [human], "words": words, **more},
        "stream_mode": ["values", "messages-tuple", "custom"],
        "stream_subgraphs": True,
        "stream_resumable": True,
        "on_disconnect": "continue",
    }


def test_a_chat(chat: Page) -> None:
    assert chat.get("/info")["version"]
    listing = {"metadata": {"graph_id": "toy"}, "limit": 100, "offset": 0}
    known = len(chat.post("/threads/search", listing))
    thread = chat.post("/threads", {"metadata": {}})["thread_id"]
    streamed = chat.stream(f"/threads/{thread}/runs/stream", asked_by_chat("one two"))
    assert streamed.headers["cache-control"] == "no-store"
    assert UUID(streamed.run_id)
    chunks = streamed.data("messages")
    assert [chunk["content"] for chunk, about in chunks] == ["one", " ", "two"]
    assert {about["langgraph_node"] for _, about in chunks} == {"think"}
    assert streamed.data("custom") == [{"preparing": True}]
    run = chat.get(f"/threads/{thread}/runs/{streamed.run_id}")
    assert run["status"] == "success"  # the newer client asks so, when a stream has ended
    states = chat.post(f"/threads/{thread}/history", {"limit": 10})
    assert states[0]["values"] == streamed.data("values")[-1]
    assert said(states[0]["values"])[1:] == ["one two"]
    found = chat.post("/threads/search", listing)
    assert len(found) == known + 1
    (mine,) = [each for each in found if each["thread_id"] == thread]
    assert said(mine["values"])[0][0]["text"] == "one two"  # the title in the list
    by_assistant = {"metadata": {"assistant_id": run["assistant_id"]}, "limit": 100, "offset": 0}
    assert thread in [each["thread_id"] for each in chat.post("/threads/search", by_assistant)]


def test_a_chat_rejoined_and_stopped(chat: Page) -> None:
    thread = chat.post("/threads", {"metadata": {}})["thread_id"]
    body = asked_by_chat("a b")
    streamed = chat.stream(f"/threads/{thread}/runs/stream", body)
    place = f"/threads/{thread}/runs/{streamed.run_id}/stream"
    again = chat.ask("GET", f"{place}?cancel_on_disconnect=0", last_event_id="-1")
    assert again.events == streamed.events
    run = chat.post(f"/threads/{thread}/runs", asked_by_chat("never", wait=30))
    place = f"/threads/{thread}/runs/{run['run_id']}"
    eventually_sync(lambda: chat.get(f"/threads/{thread}/state")["next"] == ["inner"])
    stopped = chat.ask("POST", f"{place}/cancel?wait=1&action=interrupt")
    assert stopped.status == 200
    assert "a b" in said(stopped.body)
    assert chat.get(place)["status"] == "interrupted"
    assert chat.get(f"/threads/{thread}")["status"] == "interrupted"
    late = chat.ask("POST", f"{place}/cancel?wait=0&action=interrupt")
    assert (late.status, "not found" in late.body["detail"]) == (404, True)
    assert said(chat.post(f"/threads/{thread}/history", {"limit": 1})[0]["values"])[-1] != "never"


def test_a_chat_with_another_answer_or_question(chat: Page) -> None:
    thread = chat.post("/threads", {"metadata": {}})["thread_id"]
    place = f"/threads/{thread}/runs/stream"
    chat.stream(place, asked_by_chat("first"))
    states = chat.post(f"/threads/{thread}/history", {"limit": 10})
    (inner,) = [state for state in states if state["next"] == ["inner"]]
    checkpoint = {
        "checkpoint_id": inner["checkpoint_id"],
        "checkpoint_ns": "",
        "checkpoint_map": None,
    }
    anew = {**asked_by_chat(""), "input": None, "checkpoint": checkpoint}
    assert said(chat.stream(place, anew).data("values")[-1])[1:] == ["first"]
    states = chat.post(f"/threads/{thread}/history", {"limit": 10})
    forks = [state for state in states if state["parent_checkpoint_id"] == inner["checkpoint_id"]]
    assert len(forks) == 2
    before = states[-1]["checkpoint"]
    del before["thread_id"]
    edited = chat.stream(place, {**asked_by_chat("edited"), "checkpoint": before})
    assert said(edited.data("values")[-1])[1:] == ["edited"]


def test_a_chat_with_a_question_of_the_graph(chat: Page) -> None:
    thread = chat.post("/threads", {"metadata": {}})["thread_id"]
    place = f"/threads/{thread}/runs/stream"
    streamed = chat.stream(place, asked_by_chat("x", ask=True))
    (question,) = streamed.data("values")[-1]["__interrupt__"]
    assert question["value"] == {"question": "sure?"}
    (waiting,) = chat.post("/threads/search", {"status": "interrupted", "ids": [thread]})
    ((mine,),) = waiting["interrupts"].values()
    assert mine["id"] == question["id"]
    state = chat.post(f"/threads/{thread}/history", {"limit": 1})[0]
    assert state["tasks"][-1]["interrupts"][0]["id"] == question["id"]
    # “Mark as resolved” goes to the end; the task that asks is not answered by it.
    ends = {**asked_by_chat(""), "input": {}, "command": {"goto": "__end__"}}
    assert "error" not in [event.name for event in chat.stream(place, ends).events]
    answer = {**asked_by_chat(""), "input": None, "command": {"resume": "sure"}}
    assert said(chat.stream(place, answer).data("values")[-1])[1:] == ["sure"]
    assert chat.get(f"/threads/{thread}")["status"] == "idle"


def test_studio_shows_a_graph(studio: Page) -> None:
    assert studio.get("/ok") == {"ok": True}
    assert studio.get("/info")["flags"]["assistants"]
    search = {"limit": 100, "offset": 0, "metadata": {"created_by": "system"}}
    listed = studio.ask("POST", "/assistants/search", search)
    assert listed.headers["x-pagination-total"] == "1"
    (assistant,) = listed.body
    place = f"/assistants/{assistant['assistant_id']}"
    assert studio.get(place) == assistant
    drawn = studio.get(f"{place}/graph?xray=true")
    assert "inner:think" in [node["id"] for node in drawn["nodes"]]
    assert {"source": "__start__", "target": "prepare"} in drawn["edges"]
    schemas = studio.get(f"{place}/schemas")
    assert schemas["graph_id"] == "toy"
    assert {"words", "messages"} <= schemas["input_schema"]["properties"].keys()
    assert list(studio.get(f"{place}/subgraphs?recurse=true")) == ["inner"]
    (version,) = studio.post(f"{place}/versions", {"limit": 100, "offset": 0})
    assert version["version"] == 1


def test_studio_keeps_assistants(studio: Page) -> None:
    made = studio.post(
        "/assistants", {"graph_id": "toy", "name": "mine", "config": {"tags": ["a"]}}
    )
    place = f"/assistants/{made['assistant_id']}"
    changed = studio.ask("PATCH", place, {"config": {"tags": ["b"]}, "name": "mine"})
    assert (changed.status, changed.body["version"]) == (200, 2)
    assert studio.post(f"{place}/latest", {"version": 1})["config"] == {"tags": ["a"]}
    assert [each["version"] for each in studio.post(f"{place}/versions", {})] == [2, 1]
    assert studio.ask("DELETE", place).status == 204
    assert studio.ask("GET", place).status == 404


def asked_by_studio(assistant: str, **more: Any) -> Json:
    return {
        "assistant_id": assistant,
        "stream_mode": ["debug", "messages", "values", "updates"],
        "stream_subgraphs": True,
        "stream_resumable": True,
        "on_disconnect": "continue",
        "multitask_strategy": "rollback",
        "durability": "async",
        "config": {"configurable": {}, "recursion_limit": 25},
        **more,
    }


def test_studio_runs_a_graph_step_by_step(studio: Page) -> None:
    (assistant,) = studio.post("/assistants/search", {"graph_id": "toy", "limit": 1})
    assistant_id = assistant["assistant_id"]
    thread = studio.post("/threads", {"metadata": {"graph_id": "toy"}})["thread_id"]
    place = f"/threads/{thread}"
    body = asked_by_studio(assistant_id, input={"words": "one two"}, interrupt_before=["inner"])
    stopped = studio.stream(f"{place}/runs/stream", body)
    assert stopped.data("updates")[-1] == {"__interrupt__": []}
    debugged = [each["payload"] for each in stopped.data("debug") if each["type"] == "checkpoint"]
    states = studio.post(f"{place}/history", {"limit": 100})
    same = ("checkpoint", "parent_checkpoint", "next", "values")
    assert [{key: each[key] for key in same} for each in reversed(debugged)] == [
        {key: each[key] for key in same} for each in states
    ]
    thread_now = studio.get(place)
    assert (thread_now["status"], thread_now["interrupts"]) == ("interrupted", {})
    state = studio.get(f"{place}/state?subgraphs=true")
    assert state["next"] == ["inner"]
    # On by one, after which it stops again: at its end.
    goes_on = asked_by_studio(assistant_id, input=None, interrupt_after=["inner"])
    done = studio.stream(f"{place}/runs/stream", goes_on)
    assert [event.name for event in done.events if event.name.startswith("messages/")] == [
        *("messages/metadata", "messages/partial", "messages/partial", "messages/partial")
    ]
    assert done.data("messages/partial")[-1][0]["content"] == "one two"
    inside = [event for event in done.events if event.name.startswith("debug|inner:")]
    places = [event.data["payload"].get("checkpoint") for event in inside]
    deep = next(each for each in places if each)
    assert deep["checkpoint_ns"].startswith("inner:")
    assert set(deep["checkpoint_map"]) == {"", deep["checkpoint_ns"]}
    found = studio.post(f"{place}/state/checkpoint", {"checkpoint": deep, "subgraphs": True})
    assert found["checkpoint"] == deep
    task = next(
        task
        for each in debugged
        for task in each["tasks"]
        if task["name"] == "inner" and "checkpoint" in task
    )
    assert task["checkpoint"]["checkpoint_ns"] == f"inner:{task['id']}"
    assert studio.get(place)["status"] == "idle"
    runs = studio.get(f"{place}/runs?limit=10&offset=0")
    assert [run["status"] for run in runs] == ["success", "success"]
    assert studio.get(f"{place}/runs?select=run_id&select=status&limit=1") == [
        {"run_id": done.run_id, "status": "success"}
    ]


def test_studio_edits_forks_and_runs_again(studio: Page) -> None:
    thread = studio.post("/threads", {"metadata": {"graph_id": "toy"}})["thread_id"]
    place = f"/threads/{thread}"
    studio.stream(f"{place}/runs/stream", asked_by_studio("toy", input={"words": "first"}))
    states = studio.post(f"{place}/history", {"limit": 100})
    (at,) = [state["checkpoint"] for state in states if state["next"] == ["inner"]]
    # Edit a state, and go on from there.
    update = {"values": {"words": "edited"}, "as_node": "prepare", "checkpoint": at}
    fork = studio.post(f"{place}/state", update)
    assert fork["checkpoint"] == fork["configurable"]
    body = asked_by_studio("toy", input=None, checkpoint=fork["checkpoint"])
    done = studio.stream(f"{place}/runs/stream", body)
    assert said(done.data("values")[-1]) == ["edited"]
    # Run again from a checkpoint, as it was.
    copy = {"values": None, "as_node": "__copy__", "checkpoint_id": at["checkpoint_id"]}
    copied = studio.post(f"{place}/state", copy)
    body = asked_by_studio("toy", input=None, checkpoint_id=copied["checkpoint_id"])
    assert said(studio.stream(f"{place}/runs/stream", body).data("values")[-1]) == ["first"]
    after = studio.post(f"{place}/history", {"limit": 100})
    assert {state["checkpoint_id"] for state in states} < {s["checkpoint_id"] for s in after}
    old = studio.get(f"{place}/state/{states[0]['checkpoint_id']}")
    assert old == states[0]
    # Threads are renamed, copied and deleted.
    renamed = studio.ask("PATCH", place, {"metadata": {"name": "mine"}})
    assert (renamed.status, renamed.body["metadata"]["name"]) == (200, "mine")
    twin = studio.post(f"{place}/copy", None)["thread_id"]
    assert studio.get(f"/threads/{twin}/state")["values"] == after[0]["values"]
    assert studio.ask("DELETE", place).status == 204
    assert studio.ask("GET", place).status == 404
    assert studio.get(f"/threads/{twin}")["status"] == "idle"


def test_studio_answers_an_interrupt_and_sees_a_failure(studio: Page) -> None:
    thread = studio.post("/threads", {})["thread_id"]
    place = f"/threads/{thread}"
    asked = studio.stream(f"{place}/runs/stream", asked_by_studio("toy", input={"ask": True}))
    (question,) = asked.data("updates")[-1]["__interrupt__"]
    state = studio.get(f"{place}/state?subgraphs=true")
    assert state["tasks"][0]["state"]["tasks"][0]["interrupts"][0]["id"] == question["id"]
    by_id = asked_by_studio("toy", input=None, command={"resume": {question["id"]: "sure"}})
    done = studio.stream(f"{place}/runs/stream", by_id)
    assert said(done.data("values")[-1]) == ["sure"]
    failing = asked_by_studio("toy", input={"fail": True, "ask": False})
    failed = studio.stream(f"{place}/runs/stream", failing)
    assert failed.events[-1].name == "error"
    assert failed.events[-1].data["message"] == "toy boom"
    assert "toy boom" in studio.get(f"{place}/state")["tasks"][0]["error"]
    assert studio.get(place)["status"] == "error"


def test_studio_keeps_memories(studio: Page) -> None:
    item = {"namespace": ["studio", "a"], "key": "k", "value": {"n": 1}}
    assert studio.ask("PUT", "/store/items", item).status == 204
    assert studio.get("/store/items?namespace=studio.a&key=k")["value"] == {"n": 1}
    found = studio.post("/store/items/search", {"namespace_prefix": ["studio"], "limit": 10})
    assert [each["key"] for each in found["items"]] == ["k"]
    listed = studio.post("/store/namespaces", {"prefix": ["studio"], "limit": 10})
    assert listed["namespaces"] == [["studio", "a"]]
    gone = studio.ask("DELETE", "/store/items", {"namespace": ["studio", "a"], "key": "k"})
    assert gone.status == 204
