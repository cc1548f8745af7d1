"""A service that is being stopped: who asks is told so, and who listens misses nothing."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

from tests.service import ROOT, Process, process
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.clock

TOY = ROOT / "tests" / "server" / "toy_graph.py"
Json = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "toy.json").write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    return str(tmp_path / "toy.json")


@asynccontextmanager
async def serving(
    data_dir: Path, config: str, *arguments: str, grace: float = 3600
) -> AsyncIterator[tuple[Process, LangGraphClient]]:
    settings = {"EVERTURN_CONFIG": config, "EVERTURN_SHUTDOWN_GRACE": str(grace)}
    with process(data_dir, *arguments, **settings) as running:
        client = get_client(url=await asyncio.to_thread(running.url))
        yield running, client
        await client.aclose()


def port_of(running: Process) -> str:
    return running.url_found.rpartition(":")[2]


async def until_it_waits(client: LangGraphClient, thread: str) -> None:
    async def waits() -> bool:
        try:
            return (await client.threads.get_state(thread))["next"] == ["inner"]
        except NotFoundError:
            return False

    await eventually(waits)


async def read_into(seen: list[Any], stream: AsyncIterator[Any]) -> None:
    async for part in stream:
        seen.append(part)  # noqa: PERF401 - it is looked at meanwhile


def ends_in(seen: list[Any]) -> int:
    return sum((part.data or {}).get("status") == "run_done" for part in seen)


async def start(client: LangGraphClient, thread: str, toy: Json) -> str:
    run = await client.runs.create(thread, "toy", input=toy, if_not_exists="create")
    await until_it_waits(client, thread)
    return str(run["run_id"])


async def test_clients_are_answered_until_the_last_turn_has_ended(
    data_dir: Path, tmp_path: Path, config: str
) -> None:
    go, thread = tmp_path / "go", str(uuid4())
    async with (
        serving(data_dir, config) as (running, client),
        httpx.AsyncClient(base_url=running.url_found, timeout=PATIENCE) as http,
    ):
        run_id = await start(client, thread, {"until": str(go), "words": "the last"})
        waiting = asyncio.create_task(http.get(f"/threads/{thread}/runs/{run_id}/join"))
        idle = await client.threads.create()
        follows = asyncio.create_task(http.get(f"/threads/{idle['thread_id']}/stream"))
        await asyncio.sleep(0.2)
        running.popen.send_signal(signal.SIGTERM)
        await asyncio.to_thread(running.says, '"stopping"')
        ready = await http.get("/ready")
        assert (ready.status_code, ready.json()["type"]) == (503, "shutting-down")
        assert ready.headers["connection"] == "close"
        for path, body in (
            (f"/threads/{thread}/runs", {"assistant_id": "toy", "input": {}}),
            ("/runs/wait", {"assistant_id": "toy", "input": {}}),
            ("/runs/stream", {"assistant_id": "toy", "input": {}}),
            ("/invoke", {"graph": "toy", "input": {"words": "x"}}),
        ):
            refused = await http.post(path, json=body)
            assert (refused.status_code, refused.json()["type"]) == (503, "shutting-down"), path
            assert int(refused.headers["retry-after"]) > 0
        assert (await http.get(f"/threads/{thread}/state")).status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):  # cut off: its client is to come back
            await follows
        assert not waiting.done()
        go.touch()
        answer = (await waiting).json()
        assert answer["messages"][-1]["content"] == "the last"
        assert await asyncio.to_thread(running.ended) == 0
    assert "Traceback" not in "".join(running.log)


@pytest.mark.parametrize("resumable", [True, False])
async def test_a_stream_goes_on_in_the_next_process_without_a_gap(
    data_dir: Path, tmp_path: Path, config: str, resumable: bool
) -> None:
    go, thread = tmp_path / "go", str(uuid4())
    seen: list[Any] = []
    async with serving(data_dir, config, grace=0.2) as (first, client):
        port = port_of(first)

        stream = client.runs.stream(
            thread,
            "toy",
            input={"until": str(go), "words": "hello you"},
            if_not_exists="create",
            stream_mode=["custom", "values", "messages-tuple"],
            stream_resumable=resumable,
        )
        reading = asyncio.create_task(read_into(seen, stream))
        await until_it_waits(client, thread)
        await eventually(lambda: len(seen) > 2)
        assert await asyncio.to_thread(first.stop) == 0
        assert [part.event for part in seen[:1]] == ["metadata"]
        assert "error" not in {part.event for part in seen}
        before = len(seen)
        go.touch()
        async with serving(data_dir, config, "--port", port) as (_, again):
            await asyncio.wait_for(reading, PATIENCE)
            run_id = seen[0].data["run_id"]
            whole = [
                part async for part in again.runs.join_stream(thread, run_id, last_event_id="-1")
            ]
    assert [(part.event, part.data) for part in seen] == [(p.event, p.data) for p in whole]
    assert [part.data["attempt"] for part in seen if part.event == "metadata"] == [1, 2]
    assert before < len(seen)
    assert seen[-1].data["messages"][-1]["content"] == "hello you"


@pytest.mark.filterwarnings("ignore:Request failed, attempting reconnect")
async def test_who_waits_for_a_run_gets_its_end_from_the_next_process(
    data_dir: Path, tmp_path: Path, config: str
) -> None:
    go, thread = tmp_path / "go", str(uuid4())
    async with serving(data_dir, config, grace=0.2) as (first, client):
        asked = client.runs.wait(
            thread, "toy", input={"until": str(go), "words": "late"}, if_not_exists="create"
        )
        waiting = asyncio.create_task(asked)
        await until_it_waits(client, thread)
        assert await asyncio.to_thread(first.stop) == 0
        go.touch()
        async with serving(data_dir, config, "--port", port_of(first)):
            final: Any = await asyncio.wait_for(waiting, PATIENCE)
    assert final["messages"][-1]["content"] == "late"


async def test_who_follows_a_thread_misses_no_run_of_the_next_process(
    data_dir: Path, config: str
) -> None:
    seen: list[Any] = []
    async with serving(data_dir, config) as (first, client):
        thread = (await client.threads.create())["thread_id"]

        stream = await client.threads.join_stream(thread, stream_mode=["run_modes"])
        reading = asyncio.create_task(read_into(seen, stream))
        await client.runs.wait(thread, "toy", input={"words": "one"})
        await eventually(lambda: ends_in(seen) == 1)
        assert await asyncio.to_thread(first.stop) == 0
        async with serving(data_dir, config, "--port", port_of(first)) as (_, again):
            await again.runs.wait(thread, "toy", input={"words": "two"})
            await eventually(lambda: ends_in(seen) == 2)
            reading.cancel()


async def test_ctrl_c_once_more_ends_what_runs(data_dir: Path, tmp_path: Path, config: str) -> None:
    go, thread = tmp_path / "go", str(uuid4())
    async with serving(data_dir, config) as (first, client):
        run_id = await start(client, thread, {"until": str(go), "words": "again"})
        first.popen.send_signal(signal.SIGTERM)
        await asyncio.to_thread(first.says, '"stopping"')
        first.popen.send_signal(signal.SIGTERM)  # some send it twice, such as make
        await until_it_waits(client, thread)
        assert first.popen.poll() is None
        first.popen.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(first.ended) == 0
    go.touch()
    async with serving(data_dir, config) as (_, client):
        final: Any = await asyncio.wait_for(client.runs.join(thread, run_id), PATIENCE)
    assert final["messages"][-1]["content"] == "again"
    assert final["steps"] == ["prepare"]


async def test_a_load_balancer_has_time_to_look(data_dir: Path, config: str) -> None:
    with process(data_dir, EVERTURN_CONFIG=config, EVERTURN_SHUTDOWN_DELAY="3600") as running:
        url = await asyncio.to_thread(running.url)
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
            running.popen.send_signal(signal.SIGTERM)

            async def refused() -> bool:
                return (await http.get("/ready")).status_code == 503

            await eventually(refused)
            asked = {"graph": "toy", "input": {"words": "still here"}}
            assert (await http.post("/invoke", json=asked)).status_code == 200
        running.popen.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(running.ended) == 0
