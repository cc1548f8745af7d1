"""A request that is sent again with its `Idempotency-Key`: one run, one answer, by any door."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
import redis

from everturn.checkpoints.local.valkey.address import address_of, url_of
from everturn.server.api.http.problems import IDEMPOTENCY_KEY, REPLAYED
from everturn.server.runs.here import KNOWN_SECONDS
from tests.provider import KEY, FakeProvider, Reply
from tests.service import ROOT, Client, serving
from tests.waiting import eventually_sync

GRAPHS = """
from operator import add
from typing import Annotated, TypedDict
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

class State(TypedDict, total=False):
    log: Annotated[list[str], add]
    inner: str

class Shown(TypedDict, total=False):
    log: Annotated[list[str], add]

count = 0

async def note(state: State) -> dict:
    global count
    count += 1
    return {"log": [f"note {count}"], "inner": "not shown"}

async def fail(state: State) -> dict:
    global count
    count += 1
    raise RuntimeError(f"failed {count}")

async def ask(state: State) -> dict:
    return {"log": [interrupt("your name?")]}

def one(node):
    return StateGraph(State, output_schema=Shown).add_node("only", node).add_edge(START, "only")

noting, failing, asking = (one(node).compile() for node in (note, fail, ask))
"""
ASKED = {"assistant_id": "note", "input": {"log": ["begun"]}}


@pytest.fixture(scope="module")
def noting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service of graphs that count how often they were run."""
    folder = tmp_path_factory.mktemp("noting")
    (folder / "noting.py").write_text(GRAPHS)
    named = {"note": "noting", "fail": "failing", "ask": "asking"}
    graphs = {name: f"./noting.py:{graph}" for name, graph in named.items()}
    graphs["agent"] = f"{ROOT}/graph/agent.py:graph"
    (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    with serving(folder / "data", config=folder / "langgraph.json") as client:
        yield client


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, noting: Client) -> Iterator[redis.Redis]:
    """What the service keeps in its Valkey."""
    data = tmp_path_factory.getbasetemp().glob("noting*/data")
    with redis.Redis.from_url(url_of(address_of(next(data)))) as connection:
        yield connection


def with_key(key: str | None = None, **more: str) -> dict[str, str]:
    return {IDEMPOTENCY_KEY: key or str(uuid4()), **more}


def thread_of(client: Client) -> str:
    return str(client.post("/threads", json={}).json()["thread_id"])


def frames(response: httpx.Response) -> list[tuple[str, Any, str]]:
    """The events of a stream, with their ids."""
    found = []
    for block in response.text.split("\r\n\r\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\r\n") if ": " in line)
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"]), lines.get("id", "")))
    return found


DOORS = {
    "/runs/wait": ASKED,
    "/threads/{}/runs/wait": ASKED,
    "/invoke": {"graph": "note", "input": ASKED["input"]},
    "/invoke on a thread": {"graph": "note", "input": ASKED["input"], "thread_id": "{}"},
}


@pytest.mark.parametrize("door", DOORS)
def test_the_answer_is_the_same_and_nothing_is_run_twice(noting: Client, door: str) -> None:
    thread, headers = thread_of(noting), with_key()
    path = door.partition(" ")[0].format(thread)
    body = json.loads(json.dumps(DOORS[door]).replace("{}", thread))
    first = noting.post(path, json=body, headers=headers)
    assert first.status_code == 200, first.text
    assert REPLAYED not in first.headers
    assert first.json().keys() == {"log"}
    if thread in path + json.dumps(body):  # other turns may follow on the thread
        other = noting.post(path, json=body)
        assert len(other.json()["log"]) == 4
    written, as_json = json.dumps(body, indent=1), {"Content-Type": "application/json"}
    again = noting.post(path, content=written, headers={**headers, **as_json})
    assert again.status_code == 200, again.text
    assert again.content == first.content
    assert again.headers[REPLAYED] == "true"
    assert again.headers.get("content-location") == first.headers.get("content-location")
    new = noting.post(path, json=body, headers=with_key())
    assert new.content != first.content


@pytest.mark.parametrize("path", ["/runs", "/threads/{}/runs"])
def test_a_background_run_is_started_once(noting: Client, path: str) -> None:
    path, headers = path.format(thread_of(noting)), with_key()
    first = noting.post(path, json=ASKED, headers=headers)
    again = noting.post(path, json=ASKED, headers=headers)
    assert again.json()["run_id"] == first.json()["run_id"]
    assert (first.headers.get(REPLAYED), again.headers[REPLAYED]) == (None, "true")
    place = first.headers["content-location"]
    eventually_sync(lambda: noting.get(place).json()["status"] == "success")
    assert noting.post(path, json=ASKED, headers=headers).json()["status"] == "success"


def test_each_run_of_a_batch_is_started_once(noting: Client) -> None:
    headers, batch = with_key(), [ASKED, ASKED, ASKED]
    first = noting.post("/runs/batch", json=batch, headers=headers).json()
    again = noting.post("/runs/batch", json=batch, headers=headers)
    ids = [run["run_id"] for run in first]
    assert len(set(ids)) == 3
    assert [run["run_id"] for run in again.json()] == ids
    assert again.headers[REPLAYED] == "true"


@pytest.mark.parametrize("path", ["/runs/stream", "/threads/{}/runs/stream", "/stream"])
def test_a_stream_begins_again_or_after_any_of_its_events(noting: Client, path: str) -> None:
    path, headers = path.format(thread_of(noting)), with_key()
    body = {"graph": "note", "input": ASKED["input"]} if path == "/stream" else ASKED
    first = frames(noting.post(path, json=body, headers=headers))
    assert len(first) > 1
    assert frames(noting.post(path, json=body, headers=headers)) == first
    for number, (_, _, place) in enumerate(first, 1):
        rest = noting.post(path, json=body, headers={**headers, "Last-Event-ID": place})
        assert rest.headers[REPLAYED] == "true"
        assert frames(rest) == first[number:]


@pytest.mark.parametrize("path", ["/runs/stream", "/threads/{}/runs/stream", "/stream"])
def test_a_stream_that_is_not_kept_ends_as_it_did(
    noting: Client, stored: redis.Redis, path: str
) -> None:
    path, headers = path.format(thread_of(noting)), with_key()
    body = {"graph": "note", "input": ASKED["input"]} if path == "/stream" else ASKED
    first = noting.post(path, json=body, headers=headers)
    eventually_sync(lambda: forget_events(stored))
    sleep(2 * KNOWN_SECONDS)  # until then it is served from memory
    again = frames(noting.post(path, json=body, headers=headers))
    *_, (name, state, _) = frames(first)
    assert (again[-1][0], again[-1][1]["log"]) == (name, state["log"])


def forget_events(stored: redis.Redis) -> int:
    """Take away what runs have streamed, as time does."""
    found = cast("list[bytes]", stored.keys("*:events"))
    return int(stored.delete(*found)) if found else 0


@pytest.mark.parametrize("path", ["/runs/wait", "/threads/{}/runs/wait"])
def test_an_error_is_an_answer_too(noting: Client, path: str) -> None:
    path, headers = path.format(thread_of(noting)), with_key()
    body = {**ASKED, "assistant_id": "fail"}
    first = noting.post(path, json=body, headers=headers)
    assert first.json()["__error__"]["error"] == "RuntimeError"
    assert noting.post(path, json=body, headers=headers).content == first.content


def test_a_problem_is_an_answer_too(noting: Client) -> None:
    headers, body = with_key(), {"graph": "fail", "input": ASKED["input"]}
    first = noting.post("/invoke", json=body, headers=headers)
    again = noting.post("/invoke", json=body, headers=headers)
    assert first.status_code == again.status_code == 500
    assert again.json() == first.json()
    assert len(first.json()["error_id"]) == 32  # which the line in the log has
    assert again.headers[REPLAYED] == "true"


def test_what_was_refused_leaves_its_key_free(noting: Client) -> None:
    thread, headers = str(uuid4()), with_key()
    path = f"/threads/{thread}/runs/wait"
    assert noting.post(path, json=ASKED, headers=headers).status_code == 404
    noting.post("/threads", json={"thread_id": thread})
    made = noting.post(path, json=ASKED, headers=headers)
    assert (made.status_code, made.headers.get(REPLAYED)) == (200, None)


def test_an_interrupt_is_answered_once(noting: Client) -> None:
    thread = thread_of(noting)
    path, asked = f"/threads/{thread}/runs/wait", with_key()
    body = {"assistant_id": "ask", "input": {"log": ["begun"]}}
    waits = noting.post(path, json=body, headers=asked)
    assert waits.json()["__interrupt__"][0]["value"] == "your name?"
    resume, headers = {"assistant_id": "ask", "command": {"resume": "Ada"}}, with_key()
    done = noting.post(path, json=resume, headers=headers)
    assert done.json() == {"log": ["begun", "Ada"]}
    assert noting.post(path, json=resume, headers=headers).content == done.content
    assert noting.post(path, json=body, headers=asked).json() == waits.json()


def test_another_request_needs_another_key(noting: Client) -> None:
    headers = with_key()
    assert noting.post("/runs/wait", json=ASKED, headers=headers).status_code == 200
    other = {**ASKED, "input": {"log": ["another"]}}
    for path, body in (("/runs/wait", other), ("/runs/stream", ASKED)):
        refused = noting.post(path, json=body, headers=headers)
        assert (refused.status_code, refused.json()["type"]) == (422, "idempotency-key-reused")


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ü".encode().decode("latin-1")])
def test_a_key_is_short_and_visible(noting: Client, key: str) -> None:
    headers = {IDEMPOTENCY_KEY: key.encode("latin-1")}
    refused = noting.post("/runs/wait", json=ASKED, headers=headers)  # type: ignore[arg-type]
    assert refused.status_code == 422
    assert IDEMPOTENCY_KEY in refused.json()["detail"]


def test_a_key_in_quotes_is_the_same_key(noting: Client) -> None:
    key = str(uuid4())
    first = noting.post("/runs/wait", json=ASKED, headers=with_key(f'"{key}"'))
    assert noting.post("/runs/wait", json=ASKED, headers=with_key(key)).content == first.content
    assert noting.post("/runs/wait", json=ASKED, headers=with_key("k" * 255)).status_code == 200


def test_the_run_of_a_deleted_thread_is_gone(noting: Client) -> None:
    thread, headers = thread_of(noting), with_key()
    path = f"/threads/{thread}/runs/wait"
    first = noting.post(path, json=ASKED, headers=headers)
    noting.delete(f"/threads/{thread}")
    gone = noting.post(path, json=ASKED, headers=headers)
    assert (gone.status_code, gone.json()["type"]) == (410, "answer-gone")
    assert first.headers["content-location"].rpartition("/")[2] in gone.json()["detail"]


def test_every_route_that_starts_a_turn_takes_a_key(noting: Client) -> None:
    turns = {
        path
        for path, operations in noting.get("/openapi.json").json()["paths"].items()
        if path.endswith(("/runs", "/message", "/resume", "/invoke", "/wait", "/batch", "/stream"))
        and "post" in operations
    }
    assert len(turns) == 13
    for path in turns:
        operation = noting.get("/openapi.json").json()["paths"][path]["post"]
        assert IDEMPOTENCY_KEY in {each["name"] for each in operation["parameters"]}, path
        assert {"410", "422"} <= operation["responses"].keys(), path
        assert REPLAYED in operation["responses"]["200"]["headers"], path


def test_fifty_at_once_are_one_turn(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("m", Reply("Hello there.", between=0.05))
    settings = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "m"}
    body, headers = {"message": "Hi"}, with_key()
    with serving(data_dir, **settings) as client, ThreadPoolExecutor(50) as pool:
        asked = [
            pool.submit(client.post, "/api/chat/message", json=body, headers=headers)
            for _ in range(50)
        ]
        answers = [each.result() for each in asked]
        assert {each.status_code for each in answers} == {200}
        assert len({each.content for each in answers}) == 1
        assert sum(REPLAYED in each.headers for each in answers) == 49
        session = answers[0].json()["session_id"]
        (row,) = client.get(f"/api/chat/history/{session}").json()
        assert row["assistant_message"] == "Hello there."
        assert fake_provider.calls() == 1
        later = client.post("/api/chat/message", json=body, headers=headers)
        assert later.content == answers[0].content
        assert client.get("/api/chat/sessions").json()["total"] == 1
