"""Crons, by LangGraph's own SDK; and webhooks, to a server that listens."""

import asyncio
import base64
import hashlib
import hmac
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from tests.checkpoints.stores import REDIS_URL, postgres_database, redis_store
from tests.service import ROOT, Client, process, serving
from tests.waiting import eventually

pytestmark = pytest.mark.clock

TOY = ROOT / "tests" / "server" / "toy_graph.py"
EVERY_SECOND = "* * * * * *"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("toy") / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    return file


@pytest.fixture(scope="module")
def served(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("crons") / "data"
    with serving(
        folder, config=config, webhook_secret=SECRET, fetch_networks="127.0.0.0/8"
    ) as client:
        yield client


@pytest.fixture
async def sdk(served: Client) -> AsyncIterator[LangGraphClient]:
    client = get_client(url=str(served.base_url))
    yield client
    await client.aclose()


async def runs_of(sdk: LangGraphClient, cron_id: str, least: int) -> list[Any]:
    """The threads of a cron's runs, as soon as there are so many."""

    async def enough() -> list[Any]:
        found = await sdk.threads.search(metadata={"graph_id": "toy"}, limit=100)
        runs = [run for thread in found for run in await sdk.runs.list(thread["thread_id"])]
        ours = [run for run in runs if (run["metadata"] or {}).get("cron_id") == cron_id]
        return ours if len(ours) >= least else []

    return await eventually(enough)


async def test_a_cron_begins_runs_until_it_is_deleted(sdk: LangGraphClient) -> None:
    cron: Any = await sdk.crons.create(
        "toy",
        schedule=EVERY_SECOND,
        input={"words": "tick"},
        metadata={"mine": 1},
        on_run_completed="keep",
    )
    assert cron["next_run_date"] is not None
    runs = await runs_of(sdk, cron["cron_id"], 2)
    await sdk.runs.join(runs[0]["thread_id"], runs[0]["run_id"])
    state: Any = await sdk.threads.get_state(runs[0]["thread_id"])
    assert state["values"]["messages"][0]["content"] == "tick"
    assert len({run["thread_id"] for run in runs}) == len(runs)
    assert runs[0]["metadata"]["mine"] == 1
    await sdk.crons.delete(cron["cron_id"])
    before = len(await runs_of(sdk, cron["cron_id"], 2))
    await asyncio.sleep(2.2)
    assert len(await runs_of(sdk, cron["cron_id"], 2)) <= before + 1
    with pytest.raises(NotFoundError):
        await sdk.crons.delete(cron["cron_id"])


async def test_a_cron_on_a_thread(sdk: LangGraphClient) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    cron: Any = await sdk.crons.create_for_thread(
        thread, "toy", schedule=EVERY_SECOND, input={"words": "tick"}
    )
    runs: list[Any] = []
    while len(runs) < 2:
        runs = await sdk.runs.list(thread)
        await asyncio.sleep(0.05)
    await sdk.crons.delete(cron["cron_id"])
    assert cron["thread_id"] == thread
    with pytest.raises(NotFoundError):
        await sdk.crons.create_for_thread(str(uuid4()), "toy", schedule=EVERY_SECOND)


async def test_crons_are_found_changed_and_switched_off(sdk: LangGraphClient) -> None:
    end = datetime(2099, 1, 1, tzinfo=UTC)
    yearly: Any = await sdk.crons.create(
        "toy",
        schedule="0 0 1 1 *",
        timezone="Asia/Tokyo",
        input={"words": "old"},
        end_time=end,
        metadata={"team": "red"},
    )
    cron_id = yearly["cron_id"]
    due = datetime.fromisoformat(str(yearly["next_run_date"]))
    assert (due.hour, due.day, due.utcoffset()) == (15, 31, timedelta())  # midnight in Tokyo
    off: Any = await sdk.crons.create("toy", schedule=EVERY_SECOND, enabled=False)
    assert await sdk.crons.count(assistant_id="toy", metadata={"team": "red"}) == 1
    found = await sdk.crons.search(enabled=False, select=["cron_id", "enabled"])
    assert found == [{"cron_id": off["cron_id"], "enabled": False}]
    changed: Any = await sdk.crons.update(cron_id, schedule="0 12 * * *", input={"words": "new"})
    assert changed["payload"]["input"] == {"words": "new"}
    assert datetime.fromisoformat(str(changed["next_run_date"])).hour == 3
    assert changed["end_time"] is not None
    endless: Any = await sdk.crons.update(cron_id, end_time=None)
    assert endless["end_time"] is None
    past = datetime.now(UTC) - timedelta(days=1)
    assert (await sdk.crons.update(cron_id, end_time=past))["next_run_date"] is None
    for each in (cron_id, off["cron_id"]):
        await sdk.crons.delete(each)
    with pytest.raises(NotFoundError):
        await sdk.crons.update(cron_id, enabled=False)


@pytest.mark.parametrize(
    ("flaw", "said"),
    [
        ({"schedule": "61 * * * *"}, "schedule"),
        ({"schedule": ""}, "schedule"),
        ({"schedule": "0 0 30 2 *"}, "schedule"),
        ({"schedule": "* * * * *", "timezone": "Mars/Base"}, "timezone"),
        ({"schedule": "* * * * *", "timezone": "../etc"}, "timezone"),
        ({"schedule": "* * * * *", "webhook": "ftp://x"}, "webhook"),
        ({"schedule": "* * * * *", "assistant_id": "nobody"}, "nobody"),
    ],
)
def test_a_cron_that_cannot_be(served: Client, flaw: dict[str, str], said: str) -> None:
    answer = served.post("/runs/crons", json={"assistant_id": "toy", **flaw})
    assert answer.status_code in {404, 422}
    assert said in answer.json()["detail"]


async def test_of_two_services_one_begins_each_run(config: Path, tmp_path: Path) -> None:
    async with postgres_database() as database, redis_store() as redis:
        settings: Any = {
            "redis_url": REDIS_URL,
            "database_url": database.render_as_string(hide_password=False),
            "redis_prefix": redis.prefix,
            "config": config,
        }
        with ExitStack() as stack:
            one, other = (
                get_client(
                    url=str(stack.enter_context(serving(tmp_path / name, **settings)).base_url)
                )
                for name in ("a", "b")
            )
            thread = (await one.threads.create())["thread_id"]
            cron: Any = await one.crons.create_for_thread(
                thread, "toy", schedule=EVERY_SECOND, input={"words": "tick"}
            )
            begun = datetime.now(UTC)

            async def enough() -> bool:
                return len(await other.runs.list(thread, limit=100)) >= 3

            await eventually(enough)
            await other.crons.delete(cron["cron_id"])
            runs = await other.runs.list(thread, limit=100)
            # Of each second that began meanwhile there is one run, and not one of each service.
            assert len(runs) <= int(datetime.now(UTC).timestamp()) - int(begun.timestamp()) + 1
            await one.aclose()
            await other.aclose()


async def test_what_was_due_meanwhile_begins_at_the_start(config: Path, tmp_path: Path) -> None:
    settings = {"EVERTURN_CONFIG": str(config)}
    with process(tmp_path / "data", **settings) as running:
        client = get_client(url=running.url())
        thread = (await client.threads.create())["thread_id"]
        broken: Any = await client.crons.create("toy", schedule="0 0 1 1 *")
        await client.crons.create_for_thread(thread, "toy", schedule="0 0 1 1 *")
        await client.aclose()
        running.kill()
    with sqlite3.connect(tmp_path / "data" / "everturn.db") as database:
        database.execute("UPDATE crons SET next_run_date = '2020-01-02 00:00:00.000000'")
        database.execute(
            "UPDATE crons SET timezone = 'Gone/Away', next_run_date = '2020-01-01 00:00:00.000000'"
            " WHERE cron_id = ?",
            (broken["cron_id"],),
        )
    database.close()
    with process(tmp_path / "data", **settings) as running:
        client = get_client(url=running.url())
        runs: list[Any] = []
        while not runs:
            runs = await client.runs.list(thread)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        assert len(await client.runs.list(thread)) == 1
        found: Any = await client.crons.search()
        (ended,) = [each for each in found if each["cron_id"] == broken["cron_id"]]
        assert ended["next_run_date"] is None
        await client.aclose()
        running.kill()
    # As if it had died after the run was created, and before the cron was moved on.
    with sqlite3.connect(tmp_path / "data" / "everturn.db") as database:
        database.execute(
            "UPDATE crons SET next_run_date = '2020-01-02 00:00:00.000000'"
            " WHERE next_run_date IS NOT NULL"
        )
    database.close()
    with process(tmp_path / "data", **settings) as running:
        async with get_client(url=running.url()) as client:
            await eventually(partial(_no_cron_is_due, client))
            assert len(await client.runs.list(thread)) == 1


async def _no_cron_is_due(client: LangGraphClient) -> bool:
    crons: list[Any] = await client.crons.search()
    return all((cron["next_run_date"] or "9") > "2026" for cron in crons)


SECRET = "whsec_" + base64.b64encode(b"a secret of ours").decode()


class Listener(ThreadingHTTPServer):
    """Takes webhooks; the first ones are answered as it is told."""

    def __init__(self, answers: list[int]) -> None:
        self.heard: list[tuple[int, dict[str, str], bytes]] = []
        listener = self

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = answers.pop(0) if answers else 200
                listener.heard.append((status, dict(self.headers), body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Hook)

    async def told(self, count: int) -> list[tuple[int, dict[str, str], bytes]]:
        return await eventually(lambda: self.heard if len(self.heard) >= count else [])


@contextmanager
def listening(*answers: int) -> Iterator[tuple[Listener, str]]:
    with Listener(list(answers)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, f"http://127.0.0.1:{server.server_address[1]}/hook"
        server.shutdown()


async def test_a_webhook_tells_of_the_end(sdk: LangGraphClient) -> None:
    thread = str(uuid4())
    with listening() as (listener, url):
        run: Any = await sdk.runs.create(
            thread, "toy", input={"words": "done"}, webhook=url, if_not_exists="create"
        )
        ((_, headers, body),) = await listener.told(1)
    told = json.loads(body)
    assert (told["run_id"], told["status"], told["error"]) == (run["run_id"], "success", None)
    assert told["values"]["messages"][0]["content"] == "done"
    assert told["run_started_at"] <= told["run_ended_at"] <= told["webhook_sent_at"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = hmac.new(b"a secret of ours", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    assert "__" not in body.decode()


async def test_a_webhook_that_is_not_taken_is_sent_again(sdk: LangGraphClient) -> None:
    with listening(503) as (listener, url):
        await sdk.runs.wait(None, "toy", input={"fail": True}, webhook=url, raise_error=False)
        first, second = await listener.told(2)
    assert (first[0], second[0]) == (503, 200)
    assert first[1]["webhook-id"] == second[1]["webhook-id"]
    assert json.loads(second[2])["error"]["message"] == "toy boom"
    assert json.loads(second[2])["status"] == "error"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/", "http://[::1]/", "http://2130706433/"])
async def test_a_webhook_into_ones_own_network_is_refused(
    config: Path, tmp_path: Path, address: str
) -> None:
    with serving(tmp_path / "data", config=config) as plain:
        body = {"assistant_id": "toy", "input": {"words": "x"}, "webhook": address}
        for path in ("/runs", "/runs/wait", "/runs/stream"):
            answer = plain.post(path, json=body)
            assert answer.status_code == 422
            assert "public host" in answer.json()["detail"] or "number" in answer.json()["detail"]


async def test_a_webhook_that_is_no_address(sdk: LangGraphClient) -> None:
    with pytest.raises(UnprocessableEntityError, match="webhook"):
        await sdk.runs.create(None, "toy", input={"words": "x"}, webhook="javascript:alert(1)")
