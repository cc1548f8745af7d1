"""Small things that clients of LangGraph's own server expect; see `tests.compare`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.service import ROOT, Client, serving
from tests.waiting import eventually_sync

pytestmark = pytest.mark.clock

Json = dict[str, Any]
SAYS: Json = {"messages": [{"role": "user", "content": "hello"}]}
HELLO: Json = {"assistant_id": "switches", "input": SAYS}
NOWHERE = "42735cae-e943-4262-bf5c-7c2b0c8b4b82"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    config: Path = ROOT / "tests" / "projects" / "switches" / "langgraph.json"
    with serving(tmp_path_factory.mktemp("expected") / "data", config=config) as client:
        yield client


def ran(served: Client, **body: Any) -> str:
    """Return the id of a thread on which a run has ended."""
    thread: str = served.post("/threads", json=body).json()["thread_id"]
    answer = served.post(f"/threads/{thread}/runs/wait", json=HELLO)
    assert answer.status_code == 200
    return thread


def started(served: Client, thread: str, **body: Any) -> str:
    answer = served.post(f"/threads/{thread}/runs", json={**HELLO, **body})
    return str(answer.json()["run_id"])


def test_the_root_answers(served: Client) -> None:
    assert served.get("/").json() == {"ok": True}


@pytest.mark.parametrize("rest", ["/runs/wait", "/runs/stream", "/runs"])
@pytest.mark.parametrize("stateless", [True, False])
def test_where_an_answer_leads_something_is_found(
    served: Client, rest: str, stateless: bool
) -> None:
    path = rest if stateless else f"/threads/{ran(served)}{rest}"
    answer = served.post(path, json=HELLO)
    assert answer.status_code == 200
    found = served.get(answer.headers["content-location"])
    assert found.status_code == 200, found.text
    assert found.json()["status"] in {"pending", "running", "success"}
    if "location" in answer.headers:
        assert served.get(answer.headers["location"]).status_code == 200


def test_a_stateless_run_is_joined_after_its_end(served: Client) -> None:
    answer = served.post("/runs/wait", json=HELLO)
    place = answer.headers["content-location"]
    gone_from_memory = {"run_id": place.rpartition("/")[2], "status": "success"}
    eventually_sync(lambda: served.get(place).json() == gone_from_memory)
    assert served.get(answer.headers["location"]).json() == answer.json()


@pytest.mark.parametrize("given", [{"ask": True}, {"fail": True}])
def test_a_stateless_run_that_did_not_end_well_is_joined(served: Client, given: Json) -> None:
    body = {**HELLO, "input": {**SAYS, **given}}
    answer = served.post("/runs/wait", json=body)
    place = answer.headers["content-location"]
    eventually_sync(lambda: len(served.get(place).json()) == 2)
    assert served.get(answer.headers["location"]).json() == answer.json()


@pytest.mark.parametrize("rest", ["", "/join", "/stream"])
def test_no_stateless_run(served: Client, rest: str) -> None:
    answer = served.get(f"/runs/{NOWHERE}{rest}")
    assert answer.status_code == 404
    assert "not found" in answer.json()["detail"]
    thread = ran(served)
    (run,) = served.get(f"/threads/{thread}/runs").json()
    assert served.get(f"/runs/{run['run_id']}{rest}").status_code == 404  # it has a thread


def test_a_state_is_not_edited_while_a_delayed_run_waits(served: Client) -> None:
    thread = ran(served)
    run = started(served, thread, after_seconds=600)
    edit = {"values": {"steps": ["mine"]}}
    assert served.post(f"/threads/{thread}/state", json=edit).status_code == 409
    assert served.delete(f"/threads/{thread}/runs/{run}").status_code == 204
    assert served.post(f"/threads/{thread}/state", json=edit).status_code == 200


def test_a_running_run_is_deleted(served: Client) -> None:
    thread = ran(served)
    run = started(served, thread, input={**SAYS, "wait": 600})
    path = f"/threads/{thread}/runs/{run}"
    eventually_sync(lambda: served.get(path).json()["status"] == "running")
    assert served.delete(path).status_code == 204
    assert served.get(path).status_code == 404
    assert served.get(f"/threads/{thread}").json()["status"] != "busy"


@pytest.mark.parametrize("said", ["1", "true", "yes"])
def test_a_cancelled_run_is_waited_for(served: Client, said: str) -> None:
    thread = served.post("/threads", json={}).json()["thread_id"]
    run = started(served, thread, input={**SAYS, "wait": 600})
    path = f"/threads/{thread}/runs/{run}"
    state = f"/threads/{thread}/state"
    eventually_sync(lambda: served.get(state).json()["next"] == ["think"])
    answer = served.post(f"{path}/cancel?wait={said}")
    assert answer.status_code == 200
    assert answer.headers["location"] == f"{path}/join"
    assert answer.headers["content-location"] == path
    assert answer.json()["wait"] == 600
    assert served.get(answer.headers["location"]).json() == answer.json()


@pytest.mark.parametrize(
    "place",
    [
        {"checkpoint_id": NOWHERE},
        {"checkpoint": {"checkpoint_id": NOWHERE}},
        {"config": {"configurable": {"checkpoint_id": NOWHERE}}},
    ],
)
@pytest.mark.parametrize("asked", [{}, {"input": None, "command": {"resume": 1}}])
def test_an_unknown_checkpoint_is_refused_before_anything_runs(
    served: Client, place: Json, asked: Json
) -> None:
    thread = ran(served)
    before = served.get(f"/threads/{thread}/state").json()
    body = {**HELLO, **asked, **place}
    for rest in ("/runs/wait", "/runs/stream", "/runs"):
        answer = served.post(f"/threads/{thread}{rest}", json=body)
        assert answer.status_code == 404
        assert "not found" in answer.json()["detail"]
    assert served.get(f"/threads/{thread}/state").json() == before
    assert len(served.get(f"/threads/{thread}/runs").json()) == 1
    if not asked:
        assert served.post("/runs/wait", json=body).status_code == 404


def test_a_run_goes_on_from_a_checkpoint_of_its_thread(served: Client) -> None:
    thread = ran(served)
    first = served.get(f"/threads/{thread}/history").json()[-1]["checkpoint_id"]
    body = {**HELLO, "checkpoint_id": first}
    answer = served.post(f"/threads/{thread}/runs/wait", json=body)
    assert answer.json()["steps"] == ["prepare", "think"]


def test_checkpoints_have_their_threads_metadata(served: Client) -> None:
    thread = ran(served, metadata={"owner": "me", "of": "thread"})
    body = {**HELLO, "metadata": {"of": "run"}}
    served.post(f"/threads/{thread}/runs/wait", json=body)
    newest, *_, oldest = served.get(f"/threads/{thread}/history?limit=100").json()
    assert oldest["metadata"]["owner"] == newest["metadata"]["owner"] == "me"
    assert (oldest["metadata"]["of"], newest["metadata"]["of"]) == ("thread", "run")


def test_an_empty_list_of_ids_or_fields_is_no_choice(served: Client) -> None:
    mark = {"mark": str(uuid4())}
    thread = ran(served, metadata=mark)
    search = {"ids": [], "select": [], "metadata": mark}
    (found,) = served.post("/threads/search", json=search).json()
    assert found["thread_id"] == thread
    assert found["values"]["steps"] == ["prepare", "think"]
    search = {"graph_id": "switches", "select": []}
    (assistant,) = served.post("/assistants/search", json=search).json()
    assert assistant["name"] == "switches"


def test_limits(served: Client) -> None:
    thread = ran(served)
    assert served.get(f"/threads/{thread}/runs?limit=0").json() == []
    assert len(served.get(f"/threads/{thread}/runs?limit=2000").json()) == 1
    assert served.get(f"/threads/{thread}/history?limit=0").json() == []
    assert served.post("/runs/batch", json=[]).status_code == 422


def test_context_is_given_once(served: Client) -> None:
    both = {**HELLO, "context": {"a": 1}, "config": {"configurable": {"a": 1}}}
    assert served.post("/runs/wait", json=both).status_code == 400
    both["config"] = {"configurable": {}}
    assert served.post("/runs/wait", json=both).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/threads/{NOWHERE}"),
        ("POST", f"/threads/{NOWHERE}/runs/wait"),
        ("GET", f"/threads/{NOWHERE}/runs/{NOWHERE}"),
        ("POST", f"/threads/{NOWHERE}/runs/{NOWHERE}/cancel"),
        ("GET", f"/assistants/{NOWHERE}"),
        ("GET", f"/runs/crons/{NOWHERE}"),
        ("GET", "/nothing"),
    ],
)
def test_what_is_not_there_is_not_found(served: Client, method: str, path: str) -> None:
    answer = served.request(method, path, json=HELLO if path.endswith("wait") else None)
    assert answer.status_code == 404
    assert "not found" in answer.json()["detail"].lower()


def test_a_cron_shows_what_its_client_wrote(served: Client) -> None:
    said = {**HELLO, "stream_subgraphs": True, "interrupt_before": ["think"]}
    made = served.post("/runs/crons", json={**said, "schedule": "0 0 1 1 *"}).json()
    own = served.post("/assistants/search", json={"graph_id": "switches"}).json()
    assert made["payload"] == {
        **said,
        "assistant_id": own[0]["assistant_id"],
        "schedule": "0 0 1 1 *",
        "config": {"configurable": {"cron_id": made["cron_id"]}},
    }
    assert made["on_run_completed"] == "delete"
    assert served.get(f"/runs/crons/{made['cron_id']}").json() == made
    nobodys = {"assistant_id": NOWHERE}
    assert served.post("/runs/crons/search", json=nobodys).json() == []


@pytest.mark.parametrize("command", [{"update": {}}, {"goto": []}, {"resume": None, "update": []}])
def test_a_command_that_changes_nothing_is_refused(
    served: Client, command: dict[str, object]
) -> None:
    thread = served.post("/threads", json={}).json()["thread_id"]
    body = {"assistant_id": "toy", "command": command}
    answer = served.post(f"/threads/{thread}/runs/wait", json=body)
    assert answer.status_code == 422
    assert "it changes nothing" in answer.json()["detail"]
    body = {"assistant_id": "toy", "input": {}, "config": {"callbacks": ["x"]}}
    assert served.post("/runs/wait", json=body).status_code == 422
