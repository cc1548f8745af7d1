"""Two processes that share a Redis and a PostgreSQL: what one runs, the other sees and ends."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError

from everturn.checkpoints.errors import StaleWriter, StoreUnavailable
from everturn.checkpoints.sql.runs import Claimed, RunRows
from everturn.server.runs.execution import Execution
from everturn.server.runs.injection import Inbox
from everturn.server.runs.run import Run
from tests.checkpoints.stores import REDIS_URL, one_node_cluster, postgres_database, redis_store
from tests.server.api.agent_server.following import announce_silence, following
from tests.service import ROOT, Process, process, serving
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.clock

TOY = ROOT / "tests" / "server" / "toy_graph.py"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("toy") / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
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


@pytest.fixture(scope="module", params=["redis", "cluster"])
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "redis":
        yield REDIS_URL
        return
    with one_node_cluster() as port:
        yield f"redis+cluster://127.0.0.1:{port}"


@pytest.fixture
async def two(config: Path, tmp_path: Path, redis_url: str) -> AsyncIterator[list[LangGraphClient]]:
    """Clients of two services, each in a thread of its own."""
    prefix = f"test-{uuid4().hex}"
    async with postgres_database() as database, redis_store():
        with ExitStack() as stack:
            settings = {
                "redis_url": redis_url,
                "database_url": database.render_as_string(hide_password=False),
                "redis_prefix": prefix,
                "config": config,
            }
            served = [
                stack.enter_context(serving(tmp_path / name, **settings)) for name in ("a", "b")
            ]
            clients = [get_client(url=str(each.base_url)) for each in served]
            yield clients
            for client in clients:
                await client.aclose()


async def start(client: LangGraphClient, thread: str, toy: Json, **how: Any) -> str:
    run = await client.runs.create(thread, "toy", input=toy, if_not_exists="create", **how)
    return str(run["run_id"])


async def status(client: LangGraphClient, thread: str, run_id: str) -> str:
    return str((await client.runs.get(thread, run_id))["status"])


async def until_it_waits(client: LangGraphClient, thread: str) -> None:
    """Until the run of a toy is in the node in which it waits."""

    async def waits() -> bool:
        return (await client.threads.get_state(thread))["next"] == ["inner"]

    await eventually(waits)


async def test_a_message_reaches_a_run_elsewhere(
    two: list[LangGraphClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came, put = asyncio.Event(), Inbox.put
    loop = asyncio.get_running_loop()

    async def watched(inbox: Inbox, message: Json) -> bool:
        putting = asyncio.create_task(put(inbox, message))
        await asyncio.sleep(0)
        loop.call_soon_threadsafe(came.set)
        return await putting

    monkeypatch.setattr(Inbox, "put", watched)
    here, there = two
    thread, gate = str(uuid4()), tmp_path / "go"

    async def inject(text: str) -> Json:
        message = {"role": "user", "content": text}
        params = {"namespace": [], "message": message}
        command = {"id": 1, "method": "input.inject", "params": params}
        answer = await here.http.client.post(f"/threads/{thread}/commands", json=command)
        return dict(answer.json())

    toy = {"until": str(gate), "words": "an answer"}
    run_id = await start(there, thread, toy)
    await until_it_waits(there, thread)
    injecting = asyncio.create_task(inject("and this"))
    await came.wait()
    gate.touch()
    assert (await injecting)["result"]["run_id"] == run_id
    state: Any = await there.runs.join(thread, run_id)
    assert [each["content"] for each in state["messages"]] == ["an answer", "and this", "an answer"]

    gate.unlink()
    came.clear()
    asking = await start(there, thread, {**toy, "ask": True})
    await until_it_waits(there, thread)
    injecting = asyncio.create_task(inject("too late"))
    await came.wait()
    gate.touch()
    assert (await injecting)["error"] == "invalid_argument"  # it waits for an answer now
    assert await status(here, thread, asking) == "success"


async def test_who_joined_a_run_elsewhere_ends_it_by_leaving(
    two: list[LangGraphClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    announce_silence(monkeypatch)
    here, there = two
    thread = str(uuid4())
    run_id = await start(there, thread, {"wait": 3600})
    place, ends = f"/threads/{thread}/runs/{run_id}", {"cancel_on_disconnect": 1}
    headers = {"Last-Event-ID": "-1"}
    async with here.http.client.stream("GET", f"{place}/stream", headers=headers) as joined:
        await anext(joined.aiter_raw())
    assert await status(there, thread, run_id) == "running"
    async with here.http.client.stream("GET", f"{place}/join", params=ends) as joined:
        await anext(joined.aiter_raw())
    await asyncio.wait_for(there.runs.join(thread, run_id), PATIENCE)
    assert await status(there, thread, run_id) == "interrupted"


async def test_a_run_elsewhere_is_joined_as_it_goes(
    two: list[LangGraphClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce_silence(monkeypatch)
    here, there = two
    thread, go = str(uuid4()), tmp_path / "go"
    toy = {"until": str(go), "words": "a b c"}
    run_id = await start(there, thread, toy, stream_mode=["messages-tuple", "values"])
    came = asyncio.Event()

    async def joined(client: LangGraphClient) -> list[Any]:
        parts = []
        async for part in client.runs.join_stream(thread, run_id, last_event_id="-1"):
            came.set()
            parts.append(part)
        return parts

    seeing = asyncio.create_task(joined(here))
    await came.wait()  # while the run was still under way: it waits for us
    await until_it_waits(there, thread)
    async with following(here.http.client, f"/threads/{thread}/runs/{run_id}/stream") as later:
        go.touch()
        whole, final = await asyncio.gather(joined(there), here.runs.join(thread, run_id))
        seen, rest = await asyncio.gather(seeing, later)
    assert seen == whole
    assert 0 < len(rest) < len(whole)
    assert rest == [(part.id, part.event, part.data) for part in whole[-len(rest) :]]
    assert final["messages"][-1]["content"] == "a b c"
    assert await joined(here) == whole


async def test_a_thread_is_followed_wherever_its_runs_are(
    two: list[LangGraphClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    announce_silence(monkeypatch)
    here, there = two
    thread = (await here.threads.create(graph_id="toy"))["thread_id"]
    place, only = f"/threads/{thread}/stream", {"stream_modes": "lifecycle"}
    async with following(here.http.client, place, most=4, **only) as reading:
        ids = [await start(there, thread, {"words": "there"})]
        await there.runs.join(thread, ids[0])
        ids.append(await start(here, thread, {"words": "here"}))
        parts = [part.data for part in await reading]
    assert [part.get("status", part["run_id"]) for part in parts] == [
        *(ids[0], "run_done", ids[1], "run_done")
    ]
    async with following(here.http.client, place, most=1000) as reading:
        await there.threads.delete(thread)
        assert not [part for part in await asyncio.wait_for(reading, PATIENCE) if part.id]


async def test_a_run_elsewhere_is_cancelled(
    two: list[LangGraphClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody looks again after a silence: what ends the runs is the message, at once.
    announce_silence(monkeypatch, 3600)
    here, there = two
    thread = str(uuid4())
    run_id = await start(there, thread, {"wait": 3600, "words": "x"})
    await here.runs.cancel(thread, run_id, wait=True)
    assert await status(here, thread, run_id) == "interrupted"
    undone = await start(there, thread, {"wait": 3600, "words": "x"})
    await here.runs.cancel(thread, undone, wait=True, action="rollback")
    assert [run["run_id"] for run in await here.runs.list(thread)] == [run_id]
    other = str(uuid4())
    run_id = await start(there, other, {"wait": 3600, "words": "x"})
    await here.runs.cancel_many(status="all")
    await there.runs.join(other, run_id)
    assert await status(there, other, run_id) == "interrupted"


async def test_what_was_taken_to_be_ended_and_could_not_be_waits_again(
    two: list[LangGraphClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer is lost: the database has given it to a process that does not know of it."""
    here, _ = two
    thread, take = str(uuid4()), RunRows.claim_these
    lost = asyncio.Event()

    async def loses(rows: RunRows, run_ids: Collection[str]) -> list[Claimed]:
        taken = await take(rows, run_ids)
        if taken and not lost.is_set():
            lost.set()
            raise StoreUnavailable("its answer is lost")
        return taken

    monkeypatch.setattr(RunRows, "claim_these", loses)
    run_id = await start(here, thread, {}, after_seconds=3600)
    await here.runs.cancel(thread, run_id)
    await eventually(lost.is_set)
    await asyncio.wait_for(here.runs.cancel(thread, run_id, wait=True), PATIENCE)
    assert await status(here, thread, run_id) == "interrupted"


async def test_what_is_written_long_before_it_is_started_is_run_once(
    two: list[LangGraphClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue, which lost an answer meanwhile, must not have it wait again."""
    here, _ = two
    insert, claim = RunRows.insert, RunRows.claim
    lost: set[RunRows] = set()
    thread = (await here.threads.create(graph_id="toy"))["thread_id"]

    def slowly(rows: RunRows, *given: Any, **more: Any) -> asyncio.Future[list[Any]]:
        written = insert(rows, *given, **more)

        async def seen() -> list[Any]:
            returned = await written
            await asyncio.sleep(1.3)  # a look of the queue comes first
            return returned

        return asyncio.ensure_future(seen())

    async def loses(rows: RunRows, limit: int, **more: Any) -> list[Claimed]:
        if rows not in lost:
            lost.add(rows)
            raise StoreUnavailable("its answer is lost")
        return await claim(rows, limit, **more)

    monkeypatch.setattr(RunRows, "claim", loses)
    await start(here, str(uuid4()), {}, after_seconds=3600)
    await eventually(lambda: len(lost) == 2)
    monkeypatch.setattr(RunRows, "insert", slowly)
    body = {"assistant_id": "toy", "input": {"words": "once"}}
    headers = {"Idempotency-Key": str(uuid4())}
    await here.http.client.post(f"/threads/{thread}/runs/wait", json=body, headers=headers)
    states: Any = await here.threads.get_history(thread, limit=100)
    assert {state["metadata"]["run_attempt"] for state in states} == {1}


async def test_whose_answer_comes_after_its_lease_has_taken_nothing(
    two: list[LangGraphClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a process that stood still between its question and the answer to it."""
    here, _ = two
    claim = RunRows.claim
    late: list[str] = []
    thread = (await here.threads.create(graph_id="toy"))["thread_id"]

    async def stands_still(rows: RunRows, limit: int, **more: Any) -> list[Claimed]:
        taken = await claim(rows, limit, **more)
        if taken and not late:
            (run_id,) = (each.row.run_id for each in taken)
            late.append(run_id)
            await rows.disown([])

            async def has_ended() -> bool:
                row = await rows.get(run_id)
                return row is not None and row.status == "success"

            await eventually(has_ended)
            await asyncio.sleep(2)  # more than half the lease
        return taken

    monkeypatch.setattr(RunRows, "claim", stands_still)
    left: list[Run] = []
    store_end = Execution.store_end

    async def seen(execution: Execution, run: Run) -> int | None:
        attempt = await store_end(execution, run)
        left.append(run)
        return attempt

    monkeypatch.setattr(Execution, "store_end", seen)
    run_id = await start(here, thread, {"words": "once"}, after_seconds=1)
    await eventually(lambda: len(left) == 2)
    assert late == [run_id]
    first, second = left
    assert (first.feed.attempt, first.error) == (2, None)
    assert isinstance(second.error, StaleWriter)


async def test_strategies_see_the_runs_of_both(two: list[LangGraphClient]) -> None:
    here, there = two
    thread = str(uuid4())
    first = await start(there, thread, {"wait": 3600, "words": "first"})
    with pytest.raises(ConflictError):
        await start(here, thread, {"words": "second"}, multitask_strategy="reject")
    second = await start(
        here, thread, {"wait": 0.3, "words": "second"}, multitask_strategy="interrupt"
    )
    assert await status(here, thread, first) == "interrupted"
    final: Any = await there.runs.wait(
        thread, "toy", input={"words": "third"}, multitask_strategy="enqueue"
    )
    assert [m["content"] for m in final["messages"]] == ["second", "third"]
    assert await status(there, thread, second) == "success"
    many = await asyncio.gather(
        *(
            start(client, str(thread), {"wait": 3600}, multitask_strategy="reject")
            for client in (here, there) * 4
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, str) for each in many) == 1
    await here.threads.delete(thread)


@asynccontextmanager
async def two_processes(
    stores: dict[str, str], folder: Path, **of_the_first: str
) -> AsyncIterator[tuple[Process, Process, LangGraphClient, LangGraphClient]]:
    """Two services as processes of their own, and a client of each."""
    with (
        process(folder / "a", **of_the_first, **stores) as one,
        process(folder / "b", **stores) as other,
    ):
        clients = [get_client(url=each.url()) for each in (one, other)]
        yield one, other, clients[0], clients[1]
        for client in clients:
            await client.aclose()


async def test_who_dies_is_taken_over_from(stores: dict[str, str], tmp_path: Path) -> None:
    thread, waiting, stateless = str(uuid4()), str(uuid4()), str(uuid4())
    died, taken_over = tmp_path / "died", tmp_path / "taken over"
    async with two_processes(stores, tmp_path) as (dies, lives, first, other):
        run_id = await start(first, thread, {"until": str(died), "words": "still here"})
        delayed = await start(first, waiting, {"words": "later"}, after_seconds=4)
        # A client's run is the process's that was asked; one of the background may be either's.
        await other.threads.create(thread_id=stateless)
        own: Json = {"until": str(taken_over), "words": "mine"}
        answered = asyncio.create_task(other.runs.wait(stateless, "toy", input=own))
        await until_it_waits(other, stateless)
        (untouched,) = [run["run_id"] for run in await other.runs.list(stateless)]
        await until_it_waits(other, thread)
        joined = asyncio.create_task(other.runs.join(thread, run_id))
        await asyncio.sleep(0.2)
        dies.kill()
        died.touch()
        final: Any = await joined
        assert [m["content"] for m in final["messages"]] == ["still here"]
        assert final["steps"] == ["prepare"]
        stream = [part async for part in other.runs.join_stream(thread, run_id, last_event_id="-1")]
        assert [part.data["attempt"] for part in stream if part.event == "metadata"] == [1, 2]
        assert len({part.id for part in stream}) == len(stream)
        final = await other.runs.join(waiting, delayed)
        assert [m["content"] for m in final["messages"]] == ["later"]
        taken_over.touch()
        await answered
        for where, which in ((thread, run_id), (waiting, delayed), (stateless, untouched)):
            assert await status(other, where, which) == "success"
        assert not any("run_recovered" in line and untouched in line for line in lives.log)
        metrics = (await other.http.client.get("/metrics")).text
        count, seconds = (
            float(metrics.partition(f"\neverturn_recovery_seconds_{what} ")[2].partition("\n")[0])
            for what in ("count", "sum")
        )
        assert count >= 1
        assert seconds >= 3 * count  # a lease


async def test_what_waited_elsewhere_behind_a_run_costs_it_nothing(
    stores: dict[str, str], tmp_path: Path
) -> None:
    thread, died = str(uuid4()), tmp_path / "died"
    async with two_processes(stores, tmp_path) as (dies, _lives, first, other):
        run_ids = [await start(first, thread, {"until": str(died), "words": "first"})]
        await until_it_waits(other, thread)
        run_ids += [await start(other, thread, {"words": each}) for each in "ab"]
        dies.kill()
        died.touch()
        for run_id in run_ids:
            await other.runs.join(thread, run_id)
        state: Any = await other.threads.get_state(thread)
        said = [message["content"] for message in state["values"]["messages"]]
        assert sorted(said) == ["a", "b", "first"]


async def test_who_has_died_ends_what_it_was_told_to_end(
    stores: dict[str, str], tmp_path: Path
) -> None:
    waited, told = str(uuid4()), str(uuid4())
    async with two_processes(stores, tmp_path) as (dies, _lives, first, other):
        run_ids = [await start(first, thread, {"wait": 3600}) for thread in (waited, told)]
        dies.kill()
        await other.runs.cancel(told, run_ids[1])
        await other.runs.cancel(waited, run_ids[0], wait=True)
        await other.runs.join(told, run_ids[1])
        assert await status(other, waited, run_ids[0]) == "interrupted"
        assert await status(other, told, run_ids[1]) == "interrupted"


async def test_whose_process_died_comes_before_those_who_wait(
    stores: dict[str, str], tmp_path: Path
) -> None:
    thread, died = str(uuid4()), tmp_path / "died"
    async with two_processes(stores, tmp_path) as (dies, _lives, first, other):
        ids = [await start(first, thread, {"until": str(died), "words": "first"})]
        await until_it_waits(other, thread)
        ids += [await start(other, thread, {"words": words}) for words in ("second", "third")]
        dies.kill()
        died.touch()
        finals: list[Any] = [await other.runs.join(thread, run_id) for run_id in ids]
        said = [message["content"] for message in finals[-1]["messages"]]
        assert said == ["first", "second", "third"]
        assert finals[-1]["steps"] == ["prepare"] * 3


async def test_who_is_stopped_hands_over(stores: dict[str, str], tmp_path: Path) -> None:
    thread, stopped = str(uuid4()), tmp_path / "stopped"
    async with two_processes(stores, tmp_path, EVERTURN_SHUTDOWN_GRACE="0.2") as (
        stops,
        _lives,
        first,
        other,
    ):
        run_id = await start(first, thread, {"until": str(stopped), "words": "handed over"})
        await until_it_waits(other, thread)
        assert await asyncio.to_thread(stops.stop) == 0
        stopped.touch()
        final: Any = await other.runs.join(thread, run_id)
        assert [m["content"] for m in final["messages"]] == ["handed over"]
        assert await status(other, thread, run_id) == "success"


async def test_who_is_paused_for_long_does_not_write_over_its_successor(
    stores: dict[str, str], tmp_path: Path
) -> None:
    thread, is_paused = str(uuid4()), tmp_path / "paused"
    async with two_processes(stores, tmp_path) as (paused, _lives, first, other):
        run_id = await start(first, thread, {"until": str(is_paused), "words": "once"})
        await until_it_waits(other, thread)
        paused.popen.send_signal(signal.SIGSTOP)
        is_paused.touch()
        try:
            final: Any = await other.runs.join(thread, run_id)
        finally:
            paused.popen.send_signal(signal.SIGCONT)
        assert [m["content"] for m in final["messages"]] == ["once"]
        await asyncio.to_thread(paused.says, "run_failed", "StaleWriter", run_id)
        state: Any = await other.threads.get_state(thread)
        assert state["values"] == final
        assert await status(other, thread, run_id) == "success"
        assert (await other.threads.get(thread))["status"] == "idle"
