"""Runs of one caller at once: a client's is refused, one of the background waits for its place."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.checkpoints.stores import REDIS_URL, postgres_database, redis_store
from tests.service import ROOT, Process, process, serving
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.clock

AUTH = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
async def authenticate(authorization: str | None) -> dict:
    name = (authorization or "").removeprefix("Bearer ")
    return {"identity": name, "permissions": ["admin"] if name == "root" else []}
"""
Json = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A project in which everybody is who they say."""
    (tmp_path / "sign_in.py").write_text(AUTH)
    graph = ROOT / "tests" / "server" / "journal_graph.py"
    file = tmp_path / "langgraph.json"
    project = {"graphs": {"journal": f"{graph}:graph"}, "auth": {"path": "./sign_in.py:auth"}}
    file.write_text(json.dumps(project))
    return file


class Somebody:
    """A caller, and what their runs write down."""

    def __init__(self, client: httpx.AsyncClient, folder: Path, name: str) -> None:
        self._client, self._folder, self.name = client, folder, name
        self.journal = folder / f"journal of {name}"

    def body(self, go: str = "go") -> Json:
        return {
            "assistant_id": "journal",
            "input": {
                "journal": str(self.journal),
                "name": self.name,
                "until": str(self._folder / go),
            },
        }

    async def wait(self, url: str, go: str = "go") -> int:
        """Start a run, and wait for its end."""
        return (await self.post(f"{url}/runs/wait", self.body(go))).status_code

    async def start(self, url: str, go: str = "go") -> Json:
        """Start a run of the background on a thread of its own, which stays."""
        body = {**self.body(go), "on_completion": "keep"}
        answer = await self.post(f"{url}/runs", body)
        assert answer.status_code == 200, answer.text
        run: Json = answer.json()
        return run

    async def statuses(self, url: str, runs: list[Json]) -> list[str]:
        paths = [f"{url}/threads/{run['thread_id']}/runs/{run['run_id']}" for run in runs]
        found = await asyncio.gather(*(self._client.get(p, headers=self._headers) for p in paths))
        return [each.json()["status"] for each in found]

    async def post(self, url: str, body: Json) -> httpx.Response:
        return await self._client.post(url, json=body, headers=self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.name}"}

    @property
    def begun(self) -> int:
        """How many of their runs have begun."""
        return len(self.journal.read_text().splitlines()) if self.journal.exists() else 0


class Town:
    """Two processes that share both stores; one, where that is all that is asked for."""

    def __init__(self, client: httpx.AsyncClient, folder: Path, urls: list[str]) -> None:
        self.client, self.folder, self.urls = client, folder, urls
        self.processes: list[Process] = []

    def who(self, name: str) -> Somebody:
        return Somebody(self.client, self.folder, name)

    def go(self, name: str = "go") -> None:
        (self.folder / name).touch()


@pytest.fixture
async def town(config: Path, tmp_path: Path) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_store())
        database = await stack.enter_async_context(postgres_database())
        settings = {
            "REDIS_URL": REDIS_URL,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "EVERTURN_REDIS_PREFIX": redis.prefix,
            "EVERTURN_CONFIG": str(config),
            "EVERTURN_MAX_RUNS_PER_CALLER": "3",
        }
        served = [stack.enter_context(process(tmp_path / name, **settings)) for name in ("a", "b")]
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=PATIENCE))
        town = Town(client, tmp_path, [each.url() for each in served])
        town.processes = served
        yield town


@pytest.fixture
async def village(config: Path, tmp_path: Path) -> AsyncIterator[Town]:
    with serving(tmp_path / "data", config=config, max_runs_per_caller=2) as served:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            yield Town(client, tmp_path, [str(served.base_url).rstrip("/")])


async def test_of_many_at_once_exactly_as_many_run_as_may(town: Town) -> None:
    ada, bob = town.who("ada"), town.who("bob")
    tasks = [asyncio.create_task(ada.wait(town.urls[n % 2])) for n in range(60)]
    await eventually(lambda: sum(task.done() for task in tasks) == 57)
    assert {task.result() for task in tasks if task.done()} == {429}
    assert ada.begun == 3
    others = [asyncio.create_task(bob.wait(url)) for url in town.urls]
    await eventually(lambda: bob.begun == 2)
    town.go()
    assert sorted(await asyncio.gather(*tasks)) == [200] * 3 + [429] * 57
    assert await asyncio.gather(*others) == [200, 200]
    # Who has an answer may ask again at once.
    for _ in range(5):
        assert await asyncio.gather(*(ada.wait(town.urls[n % 2]) for n in range(3))) == [200] * 3


async def test_the_background_waits_for_a_place_and_holds_nobody_up(town: Town) -> None:
    ada, bob = town.who("ada"), town.who("bob")
    runs = [await ada.start(town.urls[n % 2], f"go {n}") for n in range(8)]
    await eventually(lambda: ada.begun == 3)
    assert await ada.wait(town.urls[0]) == 429
    others = [await bob.start(url, "go bob") for url in town.urls]
    await eventually(lambda: bob.begun == 2)
    assert ada.begun == 3
    for n in range(8):  # as one ends, the next begins, wherever that is
        town.go(f"go {n}")
        begun = min(8, n + 4)
        await eventually(partial(_has_begun, ada, begun))

    async def all_ended() -> bool:
        return await ada.statuses(town.urls[0], runs) == ["success"] * 8

    await eventually(all_ended)
    assert ada.begun == 8  # each of them once
    town.go("go bob")
    await eventually(lambda: bob.statuses(town.urls[1], others))


async def test_runs_of_a_process_that_was_killed_go_on_within_their_places(town: Town) -> None:
    ada = town.who("ada")
    runs = [await ada.start(town.urls[0]) for _ in range(5)]
    await eventually(lambda: ada.begun == 3)
    town.processes[0].popen.send_signal(signal.SIGKILL)
    # The other process has taken three over when they have begun once more.
    await eventually(lambda: "run_recovered" in "".join(town.processes[1].log))
    town.go()

    async def all_ended() -> bool:
        return await ada.statuses(town.urls[1], runs) == ["success"] * 5

    await eventually(all_ended)
    assert await asyncio.gather(*(ada.wait(town.urls[1]) for _ in range(3))) == [200] * 3


async def test_a_refusal_says_what_to_do_and_is_counted(village: Town) -> None:
    ada, (url,) = village.who("ada"), village.urls
    tasks = [asyncio.create_task(ada.wait(url)) for _ in range(2)]
    await eventually(lambda: ada.begun == 2)
    refused = await ada.post(f"{url}/runs/stream", ada.body())
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["type"] == "too-many-runs"
    assert refused.headers["retry-after"] == "2"
    assert "2 runs" in refused.json()["detail"]
    metrics = (await village.client.get(f"{url}/metrics")).text
    assert 'everturn_limits_hit_total{limit="runs_at_once"} 1.0' in metrics
    village.go()
    assert await asyncio.gather(*tasks) == [200, 200]


async def test_who_leaves_fails_or_is_refused_gives_the_place_back(village: Town) -> None:
    ada, (url,) = village.who("ada"), village.urls
    failing = {**ada.body(), "input": {"journal": "/none/such", "name": "x"}}

    async def both_places_are_free() -> bool:
        answers = await asyncio.gather(*(ada.post(f"{url}/runs/wait", failing) for _ in range(2)))
        return [answer.status_code for answer in answers] == [200, 200]

    for n in range(3):
        body = {**ada.body(), "on_disconnect": "cancel"}
        left = asyncio.create_task(ada.post(f"{url}/runs/stream", body))
        await eventually(partial(_has_begun, ada, n + 1))
        left.cancel()
        unknown = await ada.post(f"{url}/runs/wait", {**ada.body(), "assistant_id": "none"})
        assert unknown.status_code == 422
        await eventually(both_places_are_free)


async def test_operators_have_no_limit(village: Town) -> None:
    root, (url,) = village.who("root"), village.urls
    tasks = [asyncio.create_task(root.wait(url)) for _ in range(5)]
    await eventually(lambda: root.begun == 5)
    village.go()
    assert await asyncio.gather(*tasks) == [200] * 5


def _has_begun(who: Somebody, count: int) -> bool:
    return who.begun == count
