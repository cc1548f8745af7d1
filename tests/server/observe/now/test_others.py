"""Several processes at one Redis: each sees what all have counted, and who no longer lives."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from everturn.checkpoints.cancelling import cancelled
from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.redis.connect import create_async_client
from everturn.checkpoints.shared.now import NowCopies
from everturn.checkpoints.shared.peers import RedisPeers, open_peers
from everturn.server.observe.now.others import Others
from everturn.server.observe.now.recorder import Recorder
from everturn.server.observe.now.watch import Now
from everturn.server.turns.outcome import Call
from tests.checkpoints.stores import REDIS_URL, Store, one_node_cluster, redis_store
from tests.waiting import eventually

Json = dict[str, Any]


@pytest.fixture(scope="module", params=["redis", "cluster"])
def cluster_port(request: pytest.FixtureRequest) -> Iterator[int | None]:
    if request.param == "redis":
        yield None
        return
    with one_node_cluster() as port:
        yield port


@pytest.fixture
async def store(cluster_port: int | None) -> AsyncIterator[Store]:
    async with redis_store(cluster_port) as found:
        yield found


@dataclass
class Process:
    """What a process of the service has of it."""

    recorder: Recorder
    now: Now
    peers: RedisPeers

    def turn(self, model: str, owner: str | None = None, tokens: int = 10) -> str:
        """End a turn; returns its run."""
        run_id = f"{model} {self.recorder.ended} of {self.peers.name}"
        shown = {
            "run_id": run_id, "status": "success", "seconds": 2.0, "first_token": 0.5,
        }  # fmt: skip
        calls = [Call(model, usage={"total_tokens": tokens}, cost=0.25)]
        self.recorder.turn_ended(shown, calls, owner, (str, str))
        return run_id

    async def view(self) -> Json:
        """What it shows."""
        await asyncio.sleep(0.25)  # no older answer will do
        view: Json = orjson.loads(await self.now.snapshot())
        return view


@asynccontextmanager
async def process(
    cluster_port: int | None, prefix: str, lease: float = 3.0
) -> AsyncIterator[Process]:
    url = REDIS_URL if cluster_port is None else f"redis+cluster://127.0.0.1:{cluster_port}"
    client = create_async_client(url)
    async with client, open_peers(client, prefix=prefix, lease=lease) as peers:
        recorder, copies = Recorder(), NowCopies(client, prefix)

        async def health(called: Any) -> Json:
            said = {"circuit": "closed", "retry_after": None, "latency": None, "failing": 0.0}
            return {"models": [{"name": each, **said} for each in called], "breakers": []}

        async def measure() -> None:
            pass

        def look() -> None:
            recorder.saw(2, 1, 7)

        now = Now(recorder, peers.name, copies, health, look, measure, lambda: True)
        now.others = Others(recorder, copies, peers, now.about)
        answering = asyncio.create_task(now.others.answer())
        try:
            yield Process(recorder, now, peers)
        finally:
            await cancelled(answering)


async def test_what_all_have_done_is_added_up(store: Store, cluster_port: int | None) -> None:
    async with AsyncExitStack() as running:
        one, two, three = [
            await running.enter_async_context(process(cluster_port, store.prefix)) for _ in range(3)
        ]
        runs = [one.turn("a"), two.turn("b", tokens=20), three.turn("a")]
        view = await one.view()
        assert view["figures"]["turns"] == 3
        assert view["figures"]["tokens"] == 40
        assert view["figures"]["running"] == 6
        assert view["figures"]["background_waiting"] == 7  # all speak of the same
        assert {model["name"]: model["calls"] for model in view["models"]} == {"a": 2, "b": 1}
        assert {turn["run_id"] for turn in view["turns"]} == set(runs)
        first, *others = view["processes"]
        assert (first["id"], first["answers"]) == (one.peers.name, True)
        assert [each["figures"]["turns"] for each in (first, *others)] == [1, 1, 1]
        assert {each["id"] for each in others} == {two.peers.name, three.peers.name}
        assert all(each["alive"] and each["heartbeat_age"] < 3 for each in others)
        assert sum(each or 0 for each in view["lines"]["tokens"]) == 40

        # What comes later is seen by whoever looks, and each turn once.
        runs += [two.turn("b"), three.turn("b")]
        for each in (one, two, three):

            async def sees_all(each: Process = each) -> bool:
                view = await each.view()
                assert len(view["turns"]) == len({turn["run_id"] for turn in view["turns"]})
                return {turn["run_id"] for turn in view["turns"]} == set(runs)

            await eventually(sees_all)
        figures = (await one.view())["figures"]
        assert (figures["turns"], figures["tokens"], figures["cost"]) == (5, 60, 1.25)


async def test_the_day_is_of_all(store: Store, cluster_port: int | None) -> None:
    async with process(cluster_port, store.prefix) as one:
        one.turn("a", tokens=5)
        async with process(cluster_port, store.prefix) as two:
            two.turn("a", tokens=6)
            await two.now.save()
            figures = (await one.view())["figures"]
            assert (figures["tokens_today"], figures["cost_today"]) == (11, 0.5)
            await one.now.save()
            await two.now.save()
        figures = (await one.view())["figures"]
        assert (figures["tokens_today"], figures["cost_today"]) == (11, 0.5)


async def test_who_does_not_live_any_more_is_said_to_be_silent(
    store: Store, cluster_port: int | None
) -> None:
    async with process(cluster_port, store.prefix, lease=0.3) as one:
        async with process(cluster_port, store.prefix, lease=0.3) as two:
            two.turn("a")
            view = await one.view()
            assert [each["alive"] for each in view["processes"]] == [True, True]
        # As after a crash: it left nothing but what it had written.
        silent = await one.view()
        alive = {each["id"]: each["alive"] for each in silent["processes"]}
        assert alive == {one.peers.name: True, two.peers.name: False}
        assert silent["figures"]["turns"] == 1  # it was done all the same
        assert silent["figures"]["running"] == 2  # of who lives


async def test_nothing_is_written_where_nobody_looks(
    store: Store, cluster_port: int | None
) -> None:
    async def there(pattern: str) -> list[bytes]:
        return [key async for key in store.client.scan_iter(f"*{store.prefix}{pattern}")]

    async with (
        process(cluster_port, store.prefix) as one,
        process(cluster_port, store.prefix) as two,
    ):
        one.turn("a")
        two.turn("a")
        assert await there(":now}*") == []
        await one.view()
        names = {key.decode().partition("}:")[2] for key in await there(":now}*")}
        assert two.peers.name in names
        assert one.peers.name not in names  # it knows what it has done
        for key in await there(":now}*"):
            assert await store.client.pttl(key) > 0, key


async def test_redis_may_be_away(store: Store, cluster_port: int | None) -> None:
    async with (
        process(cluster_port, store.prefix) as one,
        process(cluster_port, store.prefix) as two,
    ):
        two.turn("a")
        assert (await one.view())["figures"]["turns"] == 1
        with pytest.MonkeyPatch.context() as patch:

            async def away(*_: Any) -> Any:
                raise StoreUnavailable("away")

            patch.setattr(NowCopies, "read", away)
            patch.setattr(NowCopies, "count", away)
            one.turn("a")
            view = await one.view()
            assert view["figures"]["turns"] == 2  # what was known is known
            assert [each["alive"] for each in view["processes"]] == [True, True]
        two.turn("a")

        async def all_of_them() -> bool:
            view = await one.view()
            return (view["figures"]["turns"], view["figures"]["tokens_today"]) == (3, 30)

        await two.now.save()
        await eventually(all_of_them)
