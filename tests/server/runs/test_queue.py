"""Runs that wait go to whoever has room, in order, whatever becomes of the processes."""

import asyncio
import json
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.checkpoints.stores import REDIS_URL, postgres_database, redis_store
from tests.service import ROOT, Client, Process, Worker, killed, process, serving
from tests.waiting import eventually, eventually_sync

pytestmark = pytest.mark.clock

GRAPH = ROOT / "tests" / "server" / "journal_graph.py"
Json = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"journal": f"{GRAPH}:graph"}}))
    return file


@pytest.fixture
async def stores(config: Path) -> AsyncIterator[dict[str, str]]:
    """Settings of processes that share both stores, and nothing else."""
    async with redis_store() as redis, postgres_database() as database:
        yield {
            "REDIS_URL": REDIS_URL,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "EVERTURN_REDIS_PREFIX": redis.prefix,
            "EVERTURN_CONFIG": str(config),
        }


@asynccontextmanager
async def two_processes(
    folder: Path, stores: dict[str, str], **more: str
) -> AsyncIterator[tuple[Process, Process, LangGraphClient, LangGraphClient]]:
    with (
        process(folder / "a", **stores, **more) as one,
        process(folder / "b", **stores, **more) as other,
    ):
        async with get_client(url=one.url()) as first, get_client(url=other.url()) as second:
            yield one, other, first, second


class Journal:
    """What was executed, and by whom."""

    def __init__(self, folder: Path) -> None:
        self.file, self.go = folder / "journal", folder / "go"

    def input(self, name: str, *, waits: bool = True, **more: Any) -> Json:
        until = {"until": str(self.go)} if waits else {}
        return {"journal": str(self.file), "name": name, **until, **more}

    @property
    def lines(self) -> list[list[str]]:
        found = self.file.read_text().splitlines() if self.file.exists() else []
        return [line.rsplit(" ", 1) for line in found]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.lines]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


async def post(client: LangGraphClient, thread: str, asked: Json, **how: Any) -> str:
    run = await client.runs.create(thread, "journal", input=asked, if_not_exists="create", **how)
    return str(run["run_id"])


async def said(client: LangGraphClient, thread: str) -> list[str]:
    state: Any = await client.threads.get_state(thread)
    found: list[str] = state["values"].get("said", [])
    return found


async def test_what_one_has_no_room_for_goes_to_the_other(
    stores: dict[str, str], tmp_path: Path, journal: Journal
) -> None:
    threads = [str(uuid4()) for _ in range(10)]
    async with two_processes(tmp_path, stores, EVERTURN_MAX_RUNS="2") as (_, _, first, other):
        for number, thread in enumerate(threads):
            await post(first, thread, journal.input(str(number)))
        await eventually(lambda: len(journal.lines) == 4)
        assert [*Counter(pid for _, pid in journal.lines).values()] == [2, 2]
        with httpx.Client(base_url=str(other.http.client.base_url)) as asking:
            assert figure(asking, "everturn_background_runs_waiting") == 6
            assert figure(asking, "everturn_runs_running") == 2
        journal.go.touch()
        for thread in threads:
            await eventually(partial(said, other, thread))
    assert sorted(journal.names) == sorted(map(str, range(10)))
    assert len({pid for _, pid in journal.lines}) == 2


async def test_a_stalled_process_does_not_begin_what_others_have_taken(
    stores: dict[str, str], tmp_path: Path, journal: Journal
) -> None:
    """Its clients wait for these runs, so it has them in its memory."""
    thread = str(uuid4())
    async with two_processes(tmp_path, stores) as (stalls, lives, first, other):
        await post(first, thread, journal.input("0"))
        await _under_way(stores, journal, "0")
        waiting = []
        for name in "12":
            asked = journal.input(name)
            waiting.append(asyncio.create_task(first.runs.wait(thread, "journal", input=asked)))
            await eventually(partial(_statuses, stores, "pending", len(waiting)))
        stalls.popen.send_signal(signal.SIGSTOP)
        try:
            await asyncio.to_thread(lives.says, "run_recovered")
            journal.go.touch()
            await eventually(lambda: _statuses(stores, "success", 3))
        finally:
            stalls.popen.send_signal(signal.SIGCONT)
        await asyncio.to_thread(stalls.says, "run_failed", "StaleWriter")
        await asyncio.gather(*waiting, return_exceptions=True)
        assert await said(other, thread) == ["0", "1", "2"]
        # Only the one that was under way is executed twice, from its last checkpoint on.
        assert [*Counter(journal.names)] == ["0", "1", "2"]
        assert Counter(journal.names)["1"] == Counter(journal.names)["2"] == 1


async def _under_way(stores: dict[str, str], journal: Journal, name: str) -> None:
    """Wait until the only run is executed, and its row says so.

    The row follows a moment later. Until then it counts among those that are pending, and a test
    that counts them would send its next request before the one before has arrived.
    """
    await eventually(lambda: {*journal.names} == {name})
    await eventually(lambda: _statuses(stores, "running", 1))


async def _statuses(stores: dict[str, str], status: str, count: int) -> bool:
    found = await in_rows(stores, "SELECT status FROM everturn.runs")
    return found.count((status,)) == count


async def in_rows(stores: dict[str, str], statement: str) -> list[tuple[Any, ...]]:
    engine = create_async_engine(stores["DATABASE_URL"])
    try:
        async with engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(statement))]
    finally:
        await engine.dispose()


async def test_a_node_that_blocks_the_loop_keeps_its_run(
    stores: dict[str, str], tmp_path: Path, journal: Journal
) -> None:
    thread = str(uuid4())
    # Long enough for a busy machine: its heartbeat is then late, too.
    async with two_processes(tmp_path, stores, EVERTURN_LEASE="3") as (_, _, first, other):
        await post(first, thread, journal.input("blocks", waits=False, blocks=8.0))
        await post(other, thread, journal.input("next", waits=False))
        await eventually(lambda: _statuses(stores, "success", 2))
        assert journal.names == ["blocks", "next"]
        assert await said(other, thread) == ["blocks", "next"]
        counted = await in_rows(stores, "SELECT attempts, deaths FROM everturn.runs")
        assert counted == [(1, 0), (1, 0)]


@pytest.mark.parametrize("trial", range(2))
async def test_runs_that_wait_in_two_processes_keep_their_order_when_one_dies(
    stores: dict[str, str], tmp_path: Path, journal: Journal, trial: int
) -> None:
    thread, names = str(uuid4()), [str(number) for number in range(7)]
    async with two_processes(tmp_path, stores, EVERTURN_LEASE="1") as (dies, _, first, other):
        await post(first, thread, journal.input(names[0]))
        await _under_way(stores, journal, names[0])
        streams = []
        for number, name in enumerate(names[1:]):
            client = (first, other)[(number + trial) % 2]
            if number % 3:  # a client waits for it, in this process
                asked = client.runs.wait(thread, "journal", input=journal.input(name))
                streams.append(asyncio.create_task(asked))
                await eventually(partial(_statuses, stores, "pending", number + 1))
            else:
                await post(client, thread, journal.input(name))
        dies.kill()
        journal.go.touch()
        await eventually(lambda: _statuses(stores, "success", len(names)))
        await asyncio.gather(*streams, return_exceptions=True)
        assert await said(other, thread) == names


async def test_a_run_comes_behind_one_whose_process_died_before_it_had_its_thread(
    stores: dict[str, str], tmp_path: Path, journal: Journal
) -> None:
    thread = str(uuid4())
    async with two_processes(tmp_path, stores) as (dies, _, first, other):
        await post(first, thread, journal.input("first"))
        await eventually(lambda: journal.names == ["first"])
        dies.kill()
        async with Redis.from_url(REDIS_URL) as redis:  # as if it had not asked for its thread
            locks = [key async for key in redis.scan_iter(f"*lock:{thread}*")]
            assert locks
            await redis.delete(*locks)
        journal.go.touch()
        await other.runs.wait(thread, "journal", input=journal.input("second"))
        assert await said(other, thread) == ["first", "second"]


async def test_delayed_and_queued_runs_outlive_any_number_of_restarts(
    config: Path, tmp_path: Path, journal: Journal
) -> None:
    """One process with SQLite and the embedded Valkey, ended cleanly and killed in turns."""
    thread, later = str(uuid4()), str(uuid4())
    settings = {"EVERTURN_CONFIG": str(config), "EVERTURN_SHUTDOWN_GRACE": "0"}
    for restart in range(7):
        with process(tmp_path / "data", **settings) as running:
            client = get_client(url=running.url())
            if not restart:
                await post(client, thread, journal.input("first"))
                await post(client, thread, journal.input("second"))
                await post(client, later, journal.input("later"), after_seconds=3600)
            await eventually(lambda: journal.lines)
            await client.aclose()
            if restart % 3 == 2:
                running.kill()
            else:
                await asyncio.to_thread(running.stop)
    journal.go.touch()
    with process(tmp_path / "data", **settings) as running:
        client = get_client(url=running.url())
        await eventually(lambda: _said_all(client, thread, ["first", "second"]))
        (delayed,) = await client.runs.list(later)
        assert delayed["status"] == "pending"
        await client.aclose()


async def _said_all(client: LangGraphClient, thread: str, wanted: list[str]) -> bool:
    return await said(client, thread) == wanted


def test_a_run_whose_end_was_lost_is_not_run_again(
    config: Path, tmp_path: Path, journal: Journal
) -> None:
    body = {"assistant_id": "journal", "if_not_exists": "create"}
    thread = str(uuid4())
    with serving(tmp_path / "data", config=config) as client:
        for name in ("first", "second"):
            asked = {**body, "input": journal.input(name, waits=False)}
            assert client.post(f"/threads/{thread}/runs/wait", json=asked).status_code == 200
    with sqlite3.connect(tmp_path / "data" / "everturn.db") as database:
        database.execute(
            "UPDATE runs SET status = 'running', owner = 'dead' WHERE position ="
            " (SELECT min(position) FROM runs)"
        )
    with serving(tmp_path / "data", config=config) as client:

        def statuses() -> list[str]:
            return [run["status"] for run in client.get(f"/threads/{thread}/runs").json()]

        eventually_sync(lambda: statuses() == ["success", "success"])
        state = client.get(f"/threads/{thread}/state").json()
        assert state["values"]["said"] == ["first", "second"]
    assert journal.names == ["first", "second"]


def figure(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def begin(client: Client, asked: Json, thread: str | None = None) -> httpx.Response:
    body = {"assistant_id": "journal", "if_not_exists": "create", "input": asked}
    return client.post(f"/threads/{thread or uuid4()}/runs", json=body)


async def test_one_that_only_answers_clients_leaves_the_background_to_workers(
    stores: dict[str, str], tmp_path: Path, journal: Journal
) -> None:
    thread = str(uuid4())
    with process(tmp_path / "api", **stores, EVERTURN_ROLE="api") as api:
        async with get_client(url=api.url()) as client:
            await post(client, thread, journal.input("posted", waits=False))
            await post(client, thread, journal.input("later", waits=False), after_seconds=1)
            other = await client.threads.create()
            asked = journal.input("asked", waits=False)
            await client.runs.wait(other["thread_id"], "journal", input=asked)
            assert journal.names == ["asked"]
            assert await _statuses(stores, "pending", 2)
            with (
                httpx.Client(base_url=str(client.http.client.base_url)) as http,
                # The role is of what serves: a worker may have it in the same environment.
                killed(Worker(tmp_path / "worker", **stores, EVERTURN_ROLE="api")) as worker,
            ):
                await eventually(lambda: journal.names == ["asked", "posted", "later"])
                await eventually(lambda: _statuses(stores, "success", 3))
                eventually_sync(lambda: not figure(http, "everturn_background_runs_waiting"))
                await client.runs.wait(thread, "journal", input=journal.input("2", waits=False))
                assert worker.stop() == 0
    by = dict(journal.lines)
    assert by["asked"] == by["2"] != by["posted"] == by["later"]


async def test_what_a_client_waited_for_goes_on_at_a_worker(
    stores: dict[str, str], tmp_path: Path, journal: Journal
) -> None:
    """The process that was asked has died, and another one that serves takes nothing."""
    api = {**stores, "EVERTURN_ROLE": "api", "EVERTURN_LEASE": "1"}
    with (
        process(tmp_path / "dies", **api) as dies,
        process(tmp_path / "lives", **api) as lives,
        killed(Worker(tmp_path / "worker", **stores, EVERTURN_LEASE="1")) as worker,
    ):
        async with get_client(url=dies.url()) as client, get_client(url=lives.url()) as other:
            thread = (await client.threads.create())["thread_id"]
            waits = client.runs.wait(thread, "journal", input=journal.input("asked"))
            asking = asyncio.create_task(waits)
            await eventually(lambda: journal.names == ["asked"])
            dies.kill()
            await asyncio.to_thread(worker.says, "run_recovered")
            journal.go.touch()
            await asyncio.gather(asking, return_exceptions=True)
            await eventually(lambda: _said_all(other, thread, ["asked"]))
        assert not any("run_recovered" in line for line in lives.log)


def test_the_background_of_a_folder_is_left_to_no_one(tmp_path: Path) -> None:
    with process(tmp_path / "data", EVERTURN_ROLE="api") as alone:
        assert alone.ended() == 1
    assert "EVERTURN_ROLE=api" in alone.log[-1]


def test_past_their_bounds_runs_are_refused(config: Path, tmp_path: Path, journal: Journal) -> None:
    bounds = {"max_runs": 1, "max_queued": 2, "start_wait": 0.2}
    with serving(tmp_path / "data", config=config, **bounds) as client:
        thread = str(uuid4())
        assert begin(client, journal.input("under way"), thread).status_code == 200
        eventually_sync(lambda: journal.names)
        for name in ("waits 0", "waits 1"):  # until it knows that no earlier process left any
            waits = partial(begin, client, journal.input(name))
            eventually_sync(lambda: waits().status_code == 200)  # noqa: B023 - asked at once
        refused = begin(client, journal.input("refused"))
        assert (refused.status_code, refused.json()["type"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1

        place = f"/threads/{uuid4()}/runs/stream"
        asked: Json = {"assistant_id": "journal", "if_not_exists": "create"}
        asked["input"] = journal.input("streamed")
        with client.stream("POST", place, json=asked) as streams:
            assert streams.status_code == 200
            eventually_sync(lambda: figure(client, "everturn_runs_waiting") == 1)
            eventually_sync(lambda: figure(client, "everturn_runs_oldest_waiting_seconds") > 0.2)
            path = f"/threads/{uuid4()}/runs/wait"
            late = client.post(path, json={**asked, "input": journal.input("late")})
            assert (late.status_code, late.json()["type"]) == (503, "overloaded")
            assert "retry-after" in late.headers
            journal.go.touch()
            streams.read()
        eventually_sync(
            lambda: "everturn_background_runs_waiting 0.0" in client.get("/metrics").text
        )
        eventually_sync(lambda: len(journal.lines) == 4)


def test_runs_that_wait_are_joined_and_cancelled(
    config: Path, tmp_path: Path, journal: Journal
) -> None:
    with serving(tmp_path / "data", config=config, max_runs=1) as client:
        threads = [str(uuid4()) for _ in range(4)]
        ids = [
            begin(client, journal.input(str(number)), thread).json()["run_id"]
            for number, thread in enumerate(threads)
        ]
        eventually_sync(lambda: journal.names == ["0"])
        path = f"/threads/{threads[1]}/runs/{ids[1]}"
        assert client.post(f"{path}/cancel", params={"wait": True}).status_code == 200
        assert client.get(path).json()["status"] == "interrupted"
        undone = f"/threads/{threads[2]}/runs/{ids[2]}"
        how: Json = {"wait": True, "action": "rollback"}
        assert client.post(f"{undone}/cancel", params=how).status_code == 200
        assert client.get(undone).status_code == 404
        last = f"/threads/{threads[3]}/runs/{ids[3]}/stream"
        with client.stream("GET", last, headers={"Last-Event-ID": "-1"}) as joined:
            journal.go.touch()
            events = joined.read().decode()
        assert "event: metadata" in events
        assert "event: values" in events
        assert journal.names == ["0", "3"]


def test_of_several_runs_that_are_refused_none_is_started(
    tmp_path: Path, config: Path, journal: Journal
) -> None:
    more = {"EVERTURN_CONFIG": str(config), "EVERTURN_MAX_RUNS": "1", "EVERTURN_MAX_QUEUED": "3"}
    with process(tmp_path / "data", **more) as running, Client(running.url()) as client:
        asked = {"assistant_id": "journal", "input": journal.input("first")}
        assert client.post("/runs", json=asked).status_code == 200
        eventually_sync(lambda: journal.names == ["first"])
        several = [{"assistant_id": "journal", "input": journal.input(str(n))} for n in range(5)]
        refused = client.post("/runs/batch", json=several)
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        assert client.post("/runs/batch", json=several[:2]).status_code == 200
        journal.go.touch()
        eventually_sync(lambda: len(journal.names) == 3)
        eventually_sync(lambda: figure(client, "everturn_background_runs_waiting") == 0)
        assert sorted(journal.names) == ["0", "1", "first"]
