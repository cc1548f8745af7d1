"""Several processes at one port: killed, replaced, told to end; and one that only works."""

import asyncio
import json
import os
import signal
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client

from everturn.checkpoints.local.data_dir import try_lock
from tests.service import ROOT, Process, Worker, killed, process
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.clock

TOY = ROOT / "tests" / "server" / "toy_graph.py"
Json = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A project whose processes die as they start while a file `broken` is there."""
    (tmp_path / "own_graph.py").write_text(
        "import os, pathlib\n"
        f"if pathlib.Path({str(tmp_path / 'broken')!r}).exists(): os._exit(3)\n"
        "from tests.server.toy_graph import graph\n"
    )
    graphs = {"toy": f"{tmp_path}/own_graph.py:graph"}
    (tmp_path / "toy.json").write_text(json.dumps({"graphs": graphs}))
    return str(tmp_path / "toy.json")


def lines(running: Process, event: str) -> list[Json]:
    return [json.loads(line) for line in list(running.log) if f'"{event}"' in line]


def pids(running: Process) -> dict[int, int]:
    """The newest process of each worker."""
    return {line["worker"]: line["pid"] for line in lines(running, "worker_ready")}


async def serving(running: Process) -> str:
    """Wait until both workers of a service serve; returns its URL."""
    url = await asyncio.to_thread(running.url)
    await eventually(lambda: len(pids(running)) == 2)
    return url


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def start(url: str, toy: Json) -> tuple[str, str]:
    """Start a run by a connection of its own, which goes to any of the workers."""
    thread = str(uuid4())
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        body = {"assistant_id": "toy", "input": toy, "if_not_exists": "create"}
        answer = await http.post(f"/threads/{thread}/runs", json=body)
        assert answer.status_code == 200, answer.text
        return thread, answer.json()["run_id"]


async def start_on_both(url: str, data_dir: Path, toy: Json) -> list[tuple[str, str]]:
    """Start runs until each of two workers has one."""
    runs: list[tuple[str, str]] = []

    def owners() -> int:
        with closing(sqlite3.connect(f"file:{data_dir}/everturn.db?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(DISTINCT owner) FROM runs").fetchone()[0])

    while owners() < 2:
        runs.append(await start(url, toy))
    return runs


async def joined(url: str, runs: list[tuple[str, str]]) -> list[str]:
    client = get_client(url=url)

    async def final(run: tuple[str, str]) -> Any:
        while True:
            with suppress(httpx.TransportError):  # a connection to a worker that was just killed
                return await client.runs.join(*run)

    finals = await asyncio.gather(*map(final, runs))
    await client.aclose()
    return [each["messages"][-1]["content"] for each in finals]


async def counted(url: str) -> float:
    """How many turns `/metrics` has counted."""
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        text = (await http.get("/metrics")).text
    counts = [line for line in text.splitlines() if line.startswith("chat_requests_total")]
    return sum(float(line.rpartition(" ")[2]) for line in counts)


async def test_a_worker_that_was_killed_is_started_again_and_its_runs_go_on(
    data_dir: Path, tmp_path: Path, config: str
) -> None:
    go, broken = tmp_path / "go", tmp_path / "broken"
    with process(data_dir, "--workers", "2", EVERTURN_CONFIG=config) as running:
        url = await serving(running)
        runs = await start_on_both(url, data_dir, {"until": str(go), "words": "done"})
        was = pids(running)
        broken.touch()
        os.kill(was[2], signal.SIGKILL)
        go.touch()
        assert await asyncio.wait_for(joined(url, runs), PATIENCE) == ["done"] * len(runs)
        died = await eventually(lambda: lines(running, "worker_died")[2:])
        pauses = [line["again_in"] for line in lines(running, "worker_died")]
        assert pauses == sorted(pauses)
        assert pauses[0] < pauses[-1]
        assert died[0]["code"] == 3
        assert await joined(url, [await start(url, {"words": "alone"})]) == ["alone"]
        broken.unlink()
        await eventually(lambda: pids(running)[2] != was[2])
        assert pids(running)[1] == was[1]
        more = [await start(url, {"words": "again"}) for _ in range(8)]
        assert await joined(url, more) == ["again"] * 8
        totals = {await counted(url) for _ in range(8)}  # by whichever worker
        assert totals == {len(runs) + 1 + 8}
        assert await asyncio.to_thread(running.stop) == 0
        assert not any(map(lives, pids(running).values()))


async def test_what_a_worker_said_of_itself_goes_with_it(
    data_dir: Path, tmp_path: Path, config: str
) -> None:
    """`/metrics` adds up the runs under way of those that live."""
    go = tmp_path / "go"

    async def running_now(url: str) -> float:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
            text = (await http.get("/metrics")).text
        said = next(line for line in text.splitlines() if line.startswith("everturn_runs_running "))
        return float(said.rpartition(" ")[2])

    with process(data_dir, "--workers", "2", EVERTURN_CONFIG=config) as running:
        url = await serving(running)
        runs = await start_on_both(url, data_dir, {"until": str(go), "words": "done"})
        while await running_now(url) < len(runs):
            pass  # each worker says its own when it is asked
        for pid in pids(running).values():
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: len(lines(running, "worker_ready")) == 4)
        go.touch()
        assert await asyncio.wait_for(joined(url, runs), PATIENCE) == ["done"] * len(runs)
        figures = {await running_now(url) for _ in range(16)}
        assert min(figures) == 0, figures
        assert await asyncio.to_thread(running.stop) == 0


async def test_workers_are_renewed_without_an_error(data_dir: Path, config: str) -> None:
    end = asyncio.Event()

    async def ask(url: str) -> int:
        count, thread = 0, str(uuid4())
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
            while not end.is_set():
                toy = {"words": str(count)}
                body = {"assistant_id": "toy", "input": toy, "if_not_exists": "create"}
                answer = await http.post(f"/threads/{thread}/runs/wait", json=body)
                assert answer.status_code == 200, answer.text
                assert answer.json()["messages"][-1]["content"] == str(count)
                count += 1
        return count

    with process(data_dir, "--workers", "2", EVERTURN_CONFIG=config) as running:
        url = await serving(running)
        was = pids(running)
        asking = [asyncio.create_task(ask(url)) for _ in range(8)]
        running.popen.send_signal(signal.SIGHUP)
        await eventually(lambda: len(lines(running, "worker_renewed")) == 2)
        end.set()
        assert all(await asyncio.gather(*asking))
        assert was.keys() == pids(running).keys()
        assert not any(map(lives, was.values()))
        assert await asyncio.to_thread(running.stop) == 0
    assert "database is locked" not in "".join(running.log)


async def test_workers_end_with_their_supervisor_and_the_next_one_goes_on(
    data_dir: Path, tmp_path: Path, config: str
) -> None:
    go = tmp_path / "go"
    with process(data_dir, "--workers", "2", EVERTURN_CONFIG=config) as first:
        url = await serving(first)
        runs = await start_on_both(url, data_dir, {"until": str(go), "words": "done"})
        first.popen.kill()
        await asyncio.to_thread(first.ended)
        await eventually(lambda: not any(map(lives, pids(first).values())))

        def valkey_has_ended() -> bool:
            lock = try_lock(data_dir / "valkey.lock")
            if lock is not None:
                os.close(lock)
            return lock is not None

        await eventually(valkey_has_ended)
        port = url.rpartition(":")[2]
    with process(data_dir, "--workers", "2", "--port", port, EVERTURN_CONFIG=config) as second:
        assert await asyncio.to_thread(second.url) == url
        go.touch()
        assert await asyncio.wait_for(joined(url, runs), PATIENCE) == ["done"] * len(runs)
        assert await asyncio.to_thread(second.stop) == 0


def test_what_keeps_the_first_from_starting_is_said_once(data_dir: Path) -> None:
    with process(data_dir, "--workers", "2", EVERTURN_CONFIG="nowhere.json") as refused:
        assert refused.ended() == 1
    assert sum("everturn: " in line for line in refused.log) == 1
    assert "nowhere.json" in refused.log[-1]


def test_a_number_of_workers_is_one_or_more(data_dir: Path) -> None:
    with process(data_dir, EVERTURN_WORKERS="none") as refused:
        assert refused.ended() == 1
    assert "EVERTURN_WORKERS" in refused.log[-1]


async def test_a_worker_without_a_door_needs_a_service_that_shares(
    data_dir: Path, config: str
) -> None:
    def refused() -> str:
        with killed(Worker(data_dir, EVERTURN_CONFIG=config)) as worker:
            assert worker.ended() == 1
            return worker.log[-1]

    assert "no service runs" in await asyncio.to_thread(refused)
    with process(data_dir, EVERTURN_CONFIG=config) as alone:
        await asyncio.to_thread(alone.url)
        assert "alone" in await asyncio.to_thread(refused)
        assert await asyncio.to_thread(alone.stop) == 0
    with process(data_dir, "--workers", "2", EVERTURN_CONFIG=config) as running:
        await asyncio.to_thread(running.url)
        with killed(Worker(data_dir, EVERTURN_CONFIG=config)) as worker:
            await asyncio.to_thread(worker.says, '"worker_ready"')
            assert await asyncio.to_thread(running.stop) == 0
            with process(data_dir, EVERTURN_CONFIG=config) as second:  # beside it none is alone
                assert await asyncio.to_thread(second.ended) == 1
                assert "everturn worker" in second.log[-1]
            assert await asyncio.to_thread(worker.stop) == 0
