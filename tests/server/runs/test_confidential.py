"""Secrets of a run: its graph gets them, and nobody is shown them, on whichever road."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from tests.checkpoints.stores import REDIS_URL
from tests.service import Client, process, serving
from tests.waiting import eventually_sync

GRAPH = """
import asyncio
from pathlib import Path
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

class State(TypedDict, total=False):
    until: str
    digest: str

def digest(config):
    given = config["configurable"]
    found = [given.get("api_key"), given.get("inside", {}).get("password"), given.get("max_tokens")]
    return ",".join(str(each)[-4:] for each in found)

async def slow(state: State) -> dict:
    while not Path(state.get("until", "/")).exists():
        await asyncio.sleep(0.01)
    return {}

async def work(state: State, config: RunnableConfig) -> dict:
    return {"digest": digest(config)}

inner = StateGraph(State).add_node("work", work).add_edge(START, "work").compile()
builder = StateGraph(State).add_node("slow", slow).add_node("inner", inner)
graph = builder.add_edge(START, "slow").add_edge("slow", "inner").add_edge("inner", END).compile()
"""
SECRET = "hunter2-"
ASKED = {
    "api_key": f"{SECRET}1111",
    "inside": {"password": f"{SECRET}2222", "colour": "blue"},
    "servers": [{"url": "x", "Auth": f"{SECRET}3333"}],
    "max_tokens": 4444,
}
DIGEST = "1111,2222,4444"
MODES = ["values", "updates", "messages", "events", "tasks", "checkpoints", "debug", "custom"]
WEBHOOK = f"https://example.org/{SECRET}6666?token={SECRET}7777"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "secretive.py").write_text(GRAPH)
    file = tmp_path / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"secretive": "./secretive.py:graph"}}))
    return file


KEY = "0123456789abcdef"


@pytest.fixture(params=["", KEY], ids=["plain", "encrypted"])
def client(request: pytest.FixtureRequest, data_dir: Path, config: Path) -> Iterator[Client]:
    prefix = f"test-{uuid4().hex}"
    key = {"aes_key": request.param} if request.param else {}
    with serving(
        data_dir, config=config, redis_url=REDIS_URL, redis_prefix=prefix, **key
    ) as served:
        yield served
    _delete(prefix)


def _delete(prefix: str) -> None:
    with Redis.from_url(REDIS_URL) as redis:
        for key in redis.scan_iter(match=f"*{prefix}*", count=1000):
            redis.delete(key)


def _body(where: str, **more: Any) -> dict[str, Any]:
    given = {"context": ASKED} if where == "context" else {"config": {"configurable": ASKED}}
    return {"assistant_id": "secretive", "input": {"digest": ""}, **given, **more}


def _everything_shown(client: Client, thread: str, run_id: str) -> Iterator[str]:
    """What every route shows of a thread and its run."""
    of_thread = f"/threads/{thread}"
    for path in (
        of_thread,
        f"{of_thread}/state?subgraphs=true",
        f"{of_thread}/history?limit=100",
        f"{of_thread}/runs",
        f"{of_thread}/runs/{run_id}",
    ):
        yield client.get(path).text
    yield client.post("/threads/search", json={}).text
    yield client.post(f"{of_thread}/history", json={"limit": 100}).text
    with client.stream(
        "GET", f"{of_thread}/runs/{run_id}/stream", headers={"Last-Event-ID": "-1"}
    ) as joined:
        yield joined.read().decode()


@pytest.mark.parametrize("where", ["context", "configurable"])
def test_only_the_graph_gets_them(client: Client, data_dir: Path, where: str) -> None:
    thread = client.post("/threads", json={}).json()["thread_id"]
    body = _body(where, stream_mode=MODES, stream_subgraphs=True, stream_resumable=True)
    with client.stream("POST", f"/threads/{thread}/runs/stream", json=body) as response:
        streamed = response.read().decode()
    run_id = response.headers["Content-Location"].rpartition("/")[2]
    assert DIGEST in streamed
    assert SECRET not in streamed
    shown = list(_everything_shown(client, thread, run_id))
    assert not [text for text in shown if SECRET in text]
    kwargs = client.get(f"/threads/{thread}/runs/{run_id}").json()["kwargs"]
    of_thread = client.get(f"/threads/{thread}").json()["config"]
    configurable = kwargs["config"]["configurable"]
    assert of_thread == {"configurable": configurable}
    given = kwargs["context"] if where == "context" else configurable
    ids = {"thread_id", "run_id", "assistant_id", "graph_id"}
    chosen = {name: each for name, each in given.items() if name not in ids}
    assert chosen == {"inside": {"colour": "blue"}, "max_tokens": 4444}
    assert not list(_kept(client, data_dir, thread))


def _kept(client: Client, data_dir: Path, thread: str) -> Iterator[Any]:
    """What the stores hold of the secrets."""
    (file,) = data_dir.glob("*.db")
    with closing(sqlite3.connect(file)) as database:
        for table in ("runs", "threads"):
            for row in database.execute(f"SELECT * FROM {table}"):
                if SECRET in str(row):
                    yield row
    with Redis.from_url(REDIS_URL) as redis:
        for key in redis.scan_iter(match=f"*{thread}*", count=1000):
            if SECRET.encode() in (dumped := redis.dump(key) or b""):
                yield dumped


@pytest.mark.parametrize("where", ["context", "configurable"])
def test_a_cron_and_a_waiting_run_show_none(client: Client, where: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    thread = client.post("/threads", json={}).json()["thread_id"]
    body = _body(where) | {"input": {"until": str(gate)}}
    run = client.post(f"/threads/{thread}/runs", json=body)
    assert run.status_code == 200, run.text
    later = client.post(
        f"/threads/{thread}/runs", json=_body(where, webhook=WEBHOOK, after_seconds=3600)
    )
    assert later.json()["kwargs"]["webhook"] == "https://example.org/…"
    cron = client.post("/runs/crons", json=_body(where, schedule="0 0 1 1 *", webhook=WEBHOOK))
    assert cron.status_code == 200, cron.text
    shown = [
        run.text,
        later.text,
        cron.text,
        client.get(f"/runs/crons/{cron.json()['cron_id']}").text,
        client.post("/runs/crons/search", json={}).text,
        client.patch(f"/runs/crons/{cron.json()['cron_id']}", json={"enabled": False}).text,
        client.get(f"/threads/{thread}/runs").text,
    ]
    assert not [text for text in shown if SECRET in text]
    gate.touch()
    path = f"/threads/{thread}/runs/{run.json()['run_id']}/join"
    assert client.get(path).json()["digest"] == DIGEST


@pytest.mark.parametrize("key", ["", KEY], ids=["plain", "encrypted"])
def test_a_run_that_outlives_its_process_still_has_them(
    data_dir: Path, config: Path, tmp_path: Path, key: str
) -> None:
    gate = tmp_path / "gate"
    environment = {"EVERTURN_CONFIG": str(config), **({"LANGGRAPH_AES_KEY": key} if key else {})}
    with process(data_dir, **environment) as first, Client(first.url()) as client:
        thread = client.post("/threads", json={}).json()["thread_id"]
        body = _body("configurable") | {"input": {"until": str(gate)}}
        run_id = client.post(f"/threads/{thread}/runs", json=body).json()["run_id"]
        path = f"/threads/{thread}/runs/{run_id}"
        eventually_sync(lambda: client.get(path).json()["status"] == "running")
        first.kill()
    kept = b"".join(file.read_bytes() for file in data_dir.rglob("*") if file.is_file())
    assert (SECRET.encode() in kept) is not bool(key)
    gate.touch()
    with process(data_dir, **environment) as second, Client(second.url()) as client:
        assert client.get(f"{path}/join").json()["digest"] == DIGEST
        assert SECRET not in client.get(path).text


def test_a_run_waits_for_the_key_that_its_secrets_were_encrypted_with(
    data_dir: Path, config: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    environment = {"EVERTURN_CONFIG": str(config)}
    without_key = config.read_text()
    with_key = json.dumps({**json.loads(without_key), "env": {"LANGGRAPH_AES_KEY": KEY}})
    config.write_text(with_key)
    with process(data_dir, **environment) as first, Client(first.url()) as client:
        thread = client.post("/threads", json={}).json()["thread_id"]
        body = _body("configurable") | {"input": {"until": str(gate)}}
        run_id = client.post(f"/threads/{thread}/runs", json=body).json()["run_id"]
        first.kill()
    gate.touch()
    path = f"/threads/{thread}/runs/{run_id}"
    config.write_text(without_key)
    with process(data_dir, **environment) as second, Client(second.url()) as client:
        assert "LANGGRAPH_AES_KEY" in second.says("run_waits_for_its_key")
        assert client.get(path).json()["status"] in {"pending", "running"}
        second.kill()
    config.write_text(with_key)
    with process(data_dir, **environment) as third, Client(third.url()) as client:
        assert client.get(f"{path}/join").json()["digest"] == DIGEST


def test_a_key_of_another_size_keeps_it_from_starting(data_dir: Path) -> None:
    with process(data_dir, LANGGRAPH_AES_KEY="too short") as refused:
        assert refused.ended() == 1
    assert "must be 16, 24 or 32 bytes long" in refused.log[-1]
    assert "too short" not in refused.log[-1]
