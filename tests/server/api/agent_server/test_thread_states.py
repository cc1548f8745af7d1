"""States of threads through LangGraph's client: read, listed, changed, forked, travelled in."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk._sync.client import SyncLangGraphClient
from langgraph_sdk.errors import BadRequestError, ConflictError, NotFoundError

from tests.service import Client, serving
from tests.waiting import eventually_sync

GRAPHS = """
import time
from operator import add
from pathlib import Path
from typing import Annotated, TypedDict
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

class State(TypedDict, total=False):
    log: Annotated[list[str], add]
    name: str

steps = StateGraph(State)
steps.add_node("one", lambda state: {"log": ["one"]})
steps.add_node("two", lambda state: {"log": ["two"], "name": "n"})
steps.add_edge(START, "one")
steps.add_edge("one", "two")

asking = StateGraph(State)
asking.add_node("ask", lambda state: {"log": [interrupt({"question": "your name?"})]})
asking.add_edge(START, "ask")

parent = StateGraph(State)
parent.add_node("sub", asking.compile())
parent.add_edge(START, "sub")

def wait(state: State) -> dict:
    folder = Path(__file__).parent
    (folder / "begun").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return {"log": ["waited"]}

slow = StateGraph(State)
slow.add_node("wait", wait)
slow.add_edge(START, "wait")

def fail(state: State) -> dict:
    raise RuntimeError("toy boom")

failing = StateGraph(State)
failing.add_node("fail", fail)
failing.add_edge(START, "fail")

def decide(state: State) -> str:
    raise ZeroDivisionError("a bug of the router's")

broken = StateGraph(State)
broken.add_node("one", lambda state: {"log": ["one"]})
broken.add_edge(START, "one")
broken.add_conditional_edges("one", decide, [END])

talk = StateGraph(MessagesState)
talk.add_node("echo", lambda state: {"messages": [AIMessage(state["messages"][-1].text)]})
talk.add_edge(START, "echo")
"""
NAMES = ("steps", "asking", "parent", "slow", "failing", "broken", "talk")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("states")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Client]:
    (folder / "states_graphs.py").write_text(GRAPHS)
    config = folder / "langgraph.json"
    graphs = {name: f"./states_graphs.py:{name}" for name in NAMES}
    config.write_text(json.dumps({"graphs": graphs}))
    with serving(folder / "data", config=config) as running:
        yield running


@pytest.fixture(scope="module")
def sdk(service: Client) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=str(service.base_url), api_key=None) as client:
        yield client


def run(service: Client, graph: str, thread_id: str, **what: Any) -> Any:
    body = {"graph": graph, "thread_id": thread_id, "input": {"log": ["in"]}}
    return service.post("/invoke", json={**body, **what})


def begun(service: Client, sdk: SyncLangGraphClient, graph: str) -> str:
    thread_id = str(sdk.threads.create(graph_id=graph)["thread_id"])
    run(service, graph, thread_id)
    return thread_id


def test_a_thread_without_a_state(sdk: SyncLangGraphClient) -> None:
    empty: dict[str, Any] = {
        "values": {},
        "next": [],
        "tasks": [],
        "metadata": None,
        "created_at": None,
        "checkpoint": None,
        "parent_checkpoint": None,
        "interrupts": [],
        "checkpoint_id": None,
        "parent_checkpoint_id": None,
    }
    without_a_graph = sdk.threads.create()["thread_id"]
    without_a_run = sdk.threads.create(graph_id="steps")["thread_id"]
    for thread_id in (without_a_graph, without_a_run):
        assert sdk.threads.get_state(thread_id) == empty
        assert sdk.threads.get_history(thread_id) == []
    with pytest.raises(BadRequestError, match="graph"):
        sdk.threads.update_state(without_a_graph, {"log": ["a"]})


def test_the_state_of_a_finished_run(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = begun(service, sdk, "steps")
    state: Any = sdk.threads.get_state(thread_id)
    assert state["values"] == {"log": ["in", "one", "two"], "name": "n"}
    assert (state["next"], state["tasks"], state["interrupts"]) == ([], [], [])
    assert state["metadata"]["source"] == "loop"
    assert set(state["checkpoint"]) == {"thread_id", "checkpoint_ns", "checkpoint_id"}
    assert state["checkpoint_id"] == state["checkpoint"]["checkpoint_id"]
    assert state["parent_checkpoint_id"] == state["parent_checkpoint"]["checkpoint_id"]
    assert "__" not in json.dumps(state)


def test_messages_are_told_as_messages(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = sdk.threads.create(graph_id="talk")["thread_id"]
    run(service, "talk", thread_id, input={"messages": "hello"})
    values: Any = sdk.threads.get_state(thread_id)["values"]
    assert [(m["type"], m["content"]) for m in values["messages"]] == [
        ("human", "hello"),
        ("ai", "hello"),
    ]
    (found,) = sdk.threads.search(ids=[thread_id], extract={"t": "values.messages[-1].content"})
    assert found.get("extracted") == {"t": "hello"}


def test_a_state_that_waits_says_for_what(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = begun(service, sdk, "asking")
    state: Any = sdk.threads.get_state(thread_id)
    (task,) = state["tasks"]
    assert state["next"] == [task["name"]] == ["ask"]
    assert state["interrupts"] == task["interrupts"]
    assert task["interrupts"][0]["value"] == {"question": "your name?"}
    assert set(task["interrupts"][0]) == {"id", "value"}
    assert (task["state"], task["checkpoint"], task["error"]) == (None, None, None)


def test_a_state_that_failed_says_how(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = sdk.threads.create(graph_id="failing")["thread_id"]
    assert run(service, "failing", thread_id).status_code == 500
    (task,) = sdk.threads.get_state(thread_id)["tasks"]
    assert task["error"] == "RuntimeError('toy boom')"


def test_the_history_of_a_thread(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = begun(service, sdk, "steps")
    states = sdk.threads.get_history(thread_id)
    assert [state["next"] for state in states] == [[], ["two"], ["one"], ["__start__"]]
    assert states[1]["tasks"][0]["result"] == {"log": ["two"], "name": "n"}
    assert len(sdk.threads.get_history(thread_id, limit=2)) == 2
    assert len(service.post(f"/threads/{thread_id}/history", json={}).json()) == 1
    assert len(service.get(f"/threads/{thread_id}/history").json()) == 4
    checkpoint = states[1]["checkpoint"]
    for before in (
        checkpoint,
        checkpoint["checkpoint_id"],
        {"configurable": checkpoint},  # as a config
    ):
        earlier = sdk.threads.get_history(thread_id, before=before)  # type: ignore[arg-type]
        assert earlier == states[2:]
    by_query: dict[str, Any] = {"before": str(checkpoint["checkpoint_id"]), "limit": 1}
    assert service.get(f"/threads/{thread_id}/history", params=by_query).json() == states[2:3]
    inputs = sdk.threads.get_history(thread_id, metadata={"source": "input"})
    assert inputs == states[3:]


def test_only_what_is_selected(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = begun(service, sdk, "steps")
    chosen: Any = sdk.threads.get_state(thread_id, select=["values.name", "next"])
    assert chosen == {"values": {"name": "n"}, "next": []}
    with_commas = service.get(f"/threads/{thread_id}/state?select=values.name,next")
    assert with_commas.json() == chosen
    first, *_ = sdk.threads.get_history(thread_id, select=["values", "checkpoint_id"])
    assert set(first) == {"values", "checkpoint_id"}
    refused = service.get(f"/threads/{thread_id}/state?select=secrets")
    assert refused.status_code == 422


def test_a_list_without_states(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = begun(service, sdk, "steps")
    path = f"/threads/{thread_id}/history"
    outline = ["checkpoint", "checkpoint_id", "parent_checkpoint_id", "metadata", "created_at"]
    whole = sdk.threads.get_history(thread_id)
    chosen: Any = sdk.threads.get_history(thread_id, select=outline)  # type: ignore[arg-type]
    assert chosen == [{name: state[name] for name in outline} for state in whole]
    body = {"limit": 10, "select": ["made_by"]}
    made: Any = service.post(path, json=body).json()
    assert [state["made_by"] for state in made] == [["two"], ["one"], [], []]
    one = {**body, "limit": 1, "before": {"checkpoint_id": whole[0]["checkpoint_id"]}}
    assert service.post(path, json=one).json() == [{"made_by": ["one"]}]
    fork = sdk.threads.update_state(
        thread_id, {"log": ["edited"]}, checkpoint=whole[1]["checkpoint"]
    )
    assert fork["checkpoint_id"]
    assert service.post(path, json={**body, "limit": 1}).json() == [{"made_by": []}]
    refused = service.post(path, json={"select": ["made_by", "values"]})
    assert refused.status_code == 422
    assert "ask twice" in refused.json()["detail"]


def test_any_earlier_state(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = begun(service, sdk, "steps")
    for state in sdk.threads.get_history(thread_id):
        checkpoint = state["checkpoint"]
        assert sdk.threads.get_state(thread_id, checkpoint=checkpoint) == state
        by_id = sdk.threads.get_state(thread_id, checkpoint_id=checkpoint["checkpoint_id"])
        assert by_id == state
    latest = sdk.threads.get_state(thread_id)
    at_none: Any = {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": None}
    assert sdk.threads.get_state(thread_id, checkpoint=at_none) == latest
    unknown = sdk.threads.get_state(thread_id, checkpoint_id=str(uuid4()))
    assert (unknown["values"], unknown["created_at"]) == ({}, None)


def test_a_state_is_the_paths_threads_whatever_the_body_says(
    service: Client, sdk: SyncLangGraphClient
) -> None:
    secret = begun(service, sdk, "steps")
    mine = begun(service, sdk, "asking")
    theirs = sdk.threads.get_state(secret)["checkpoint"]
    seen = sdk.threads.get_state(mine, checkpoint=theirs)
    assert seen["values"] == {}
    changed = service.post(
        f"/threads/{mine}/state", json={"values": {"log": ["x"]}, "checkpoint": theirs}
    )
    assert changed.status_code == 404


def test_changing_a_state(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = begun(service, sdk, "steps")
    answer: Any = sdk.threads.update_state(thread_id, {"log": ["edited"]}, as_node="one")
    assert answer["checkpoint"] == answer["configurable"]
    assert answer["checkpoint_id"] == answer["checkpoint"]["checkpoint_id"]
    assert set(answer["checkpoint"]) == {"thread_id", "checkpoint_ns", "checkpoint_id"}
    state: Any = sdk.threads.get_state(thread_id)
    assert state["checkpoint_id"] == answer["checkpoint_id"]
    assert state["values"]["log"] == ["in", "one", "two", "edited"]
    assert state["next"] == ["two"]
    assert (state["metadata"]["source"], state["metadata"]["graph_id"]) == ("update", "steps")
    thread = sdk.threads.get(thread_id)
    assert thread["status"] == "interrupted"
    sdk.threads.update_state(thread_id, None, as_node="__end__")
    assert sdk.threads.get_state(thread_id)["next"] == []
    assert sdk.threads.get(thread_id)["status"] == "idle"


def test_a_state_may_hold_what_no_database_stores(sdk: SyncLangGraphClient) -> None:
    thread_id = sdk.threads.create(graph_id="steps")["thread_id"]
    sdk.threads.update_state(thread_id, {"log": ["nul \0"]}, as_node="two")
    assert sdk.threads.get_state(thread_id)["values"] == {"log": ["nul \0"]}


def test_an_answered_question_is_no_longer_asked(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = begun(service, sdk, "asking")
    sdk.threads.update_state(thread_id, {"name": "seen"})  # asks again
    thread = sdk.threads.get(thread_id)
    assert (thread["status"], thread["interrupts"]) == ("interrupted", {})
    sdk.threads.update_state(thread_id, {"log": ["Ada"]}, as_node="ask")
    thread = sdk.threads.get(thread_id)
    assert (thread["status"], thread["interrupts"]) == ("idle", {})
    assert thread["values"] == {"log": ["in", "Ada"], "name": "seen"}


def test_a_fork_leaves_what_was(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = begun(service, sdk, "steps")
    before = sdk.threads.get_history(thread_id)
    at = before[1]["checkpoint"]
    sdk.threads.update_state(thread_id, {"log": ["other"]}, as_node="one", checkpoint=at)
    state = sdk.threads.get_state(thread_id)
    assert state["values"] == {"log": ["in", "one", "other"]}
    assert state["parent_checkpoint"] == at
    assert sdk.threads.get_history(thread_id)[1:] == before
    run(service, "steps", thread_id, input=None, command={"goto": "two"})
    assert sdk.threads.get(thread_id)["values"] == {
        "log": ["in", "one", "other", "two"],
        "name": "n",
    }


def test_running_again_from_a_checkpoint(service: Client, sdk: SyncLangGraphClient) -> None:
    """What Studio does: copy the checkpoint, then run without an input."""
    thread_id = begun(service, sdk, "asking")
    run(service, "asking", thread_id, input=None, command={"resume": "Ada"})
    asked = sdk.threads.get_history(thread_id)[1]["checkpoint"]["checkpoint_id"]
    body = {"values": None, "as_node": "__copy__", "checkpoint_id": asked}
    copied = service.post(f"/threads/{thread_id}/state", json=body)
    assert copied.status_code == 200
    state: Any = sdk.threads.get_state(thread_id)
    assert state["checkpoint_id"] == copied.json()["checkpoint_id"] != asked
    assert state["next"] == ["ask"]
    assert state["metadata"]["source"] == "fork"
    assert state["values"] == {"log": ["in"]}
    run(service, "asking", thread_id, input=None, command={"resume": "Bob"})
    values = [state["values"] for state in sdk.threads.get_history(thread_id)]
    assert values[0] == {"log": ["in", "Bob"]}
    assert {"log": ["in", "Ada"]} in values


def test_subgraphs(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = begun(service, sdk, "parent")
    (task,) = sdk.threads.get_state(thread_id)["tasks"]
    assert task["state"] is None
    assert task["checkpoint"] is not None
    assert task["checkpoint"]["checkpoint_ns"] == f"sub:{task['id']}"
    (task,) = sdk.threads.get_state(thread_id, subgraphs=True)["tasks"]
    inner: Any = task["state"]
    assert (task["checkpoint"], inner["next"]) == (None, ["ask"])
    place = inner["checkpoint"]
    assert set(place["checkpoint_map"]) == {"", place["checkpoint_ns"]}
    assert sdk.threads.get_state(thread_id, checkpoint=place) == inner
    assert sdk.threads.get_history(thread_id, checkpoint=place)[0] == inner
    answer: Any = sdk.threads.update_state(
        thread_id, {"log": ["Ada"]}, as_node="ask", checkpoint=place
    )
    assert answer["checkpoint"]["checkpoint_ns"] == place["checkpoint_ns"]
    (task,) = sdk.threads.get_state(thread_id, subgraphs=True)["tasks"]
    assert task["state"] is not None
    assert task["state"]["values"] == {"log": ["in", "Ada"]}
    nowhere: Any = {"checkpoint_ns": f"nowhere:{uuid4()}"}
    assert sdk.threads.get_state(thread_id, checkpoint=nowhere)["values"] == {}
    assert sdk.threads.get_history(thread_id, checkpoint=nowhere) == []
    with pytest.raises(BadRequestError, match="nowhere"):
        sdk.threads.update_state(thread_id, {"log": ["x"]}, checkpoint=nowhere)


@pytest.mark.parametrize(
    ("body", "status", "what"),
    [
        ({"values": {"log": ["x"]}, "as_node": "nowhere"}, 400, "nowhere"),
        ({"values": {"log": 5}, "as_node": "one"}, 400, "list"),
        ({"values": [{"log": ["x"]}], "as_node": "one"}, 400, "dict"),
        ({"values": "text"}, 422, "values"),
        ({"values": {"log": ["\ud800"]}, "as_node": "one"}, 422, "surrogate"),
        ({"values": {}, "as_node": 5}, 422, "as_node"),
        ({"values": {}, "checkpoint": "x", "as_node": "one"}, 404, "x"),
        ({"values": {}, "checkpoint": 5}, 422, "checkpoint"),
        ({"values": {}, "checkpoint": {"checkpoint_ns": 5}}, 422, "checkpoint_ns"),
        ({"values": {}, "checkpoint": {"checkpoint_map": {"a": 1}}}, 422, "checkpoint_map"),
        ({"values": {}, "checkpoint_id": str(uuid4())}, 404, "checkpoint"),
    ],
)
def test_an_update_that_does_not_fit(
    service: Client, sdk: SyncLangGraphClient, body: Any, status: int, what: str
) -> None:
    thread_id = begun(service, sdk, "steps")
    before = sdk.threads.get_history(thread_id)
    refused = service.post(f"/threads/{thread_id}/state", content=json.dumps(body))
    assert refused.status_code == status
    assert what in refused.json()["detail"]
    assert sdk.threads.get_history(thread_id) == before
    with pytest.raises(BadRequestError):
        sdk.threads.update_state(
            sdk.threads.create(graph_id="steps")["thread_id"], None, as_node="__copy__"
        )


def test_a_bug_in_a_router_is_told_without_its_text(
    service: Client, sdk: SyncLangGraphClient
) -> None:
    thread_id = sdk.threads.create(graph_id="broken")["thread_id"]
    body = {"values": {"log": ["x"]}, "as_node": "one"}
    failed = service.post(f"/threads/{thread_id}/state", json=body)
    assert failed.status_code == 500
    assert "router" not in failed.text


def test_a_graph_that_is_no_longer_served(sdk: SyncLangGraphClient) -> None:
    thread_id = sdk.threads.create(graph_id="gone")["thread_id"]
    for call in (
        sdk.threads.get_state,
        sdk.threads.get_history,
        lambda each: sdk.threads.update_state(each, {}),
    ):
        with pytest.raises(NotFoundError, match="gone"):
            call(thread_id)
    assert sdk.threads.get(thread_id)["values"] is None


def test_a_thread_where_something_runs(
    service: Client, sdk: SyncLangGraphClient, folder: Path
) -> None:
    thread_id = sdk.threads.create(graph_id="slow")["thread_id"]
    running = threading.Thread(target=run, args=(service, "slow", thread_id))
    running.start()
    eventually_sync((folder / "begun").exists)
    # The node begins before the checkpoint that names it is stored.
    eventually_sync(lambda: sdk.threads.get_state(thread_id)["next"] == ["wait"])
    with pytest.raises(ConflictError, match="run"):
        sdk.threads.update_state(thread_id, {"log": ["x"]}, as_node="wait")
    about: Any = sdk.threads.update(thread_id, metadata={"n": 1})["metadata"]
    assert (about["graph_id"], about["n"]) == ("slow", 1)
    with ThreadPoolExecutor(1) as pool:
        deleted = pool.submit(sdk.threads.delete, thread_id)  # waits for the run, then deletes
        (folder / "go").touch()
        deleted.result(30)
    running.join(30)
    with pytest.raises(NotFoundError):
        sdk.threads.get(thread_id)


def test_updates_side_by_side_follow_each_other(service: Client, sdk: SyncLangGraphClient) -> None:
    thread_id = sdk.threads.create(graph_id="steps")["thread_id"]

    def update(n: int) -> None:
        sdk.threads.update_state(thread_id, {"log": [str(n)]}, as_node="two")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(update, range(8)))
    values: Any = sdk.threads.get_state(thread_id)["values"]
    assert sorted(values["log"]) == [str(n) for n in range(8)]
