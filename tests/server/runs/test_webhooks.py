"""Webhooks are sent until they are taken, whatever dies; what nobody takes can be looked at."""

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from everturn.server.runs import webhooks
from tests.checkpoints.stores import REDIS_URL, postgres_database
from tests.service import ROOT, Client, Process, process, serving
from tests.waiting import eventually_sync

pytestmark = pytest.mark.clock

TOY = ROOT / "tests" / "server" / "toy_graph.py"
TOKEN = "hunter2"
Json = dict[str, Any]


class Receiver(ThreadingHTTPServer):
    """Takes webhooks as `answer` says: a status, or None to say nothing until it is closed."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str], int | None]) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.taken: list[str] = []
        self.closed = threading.Event()
        receiver = self

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook = self.headers["webhook-id"].removeprefix("msg_")
                receiver.received.append((webhook, body))
                status = answer(webhook)
                if status is None:
                    receiver.closed.wait()
                    return
                if status < 300:
                    receiver.taken.append(webhook)
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Hook)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{TOKEN}?token={TOKEN}"


@contextmanager
def receiving(answer: Callable[[str], int | None] = lambda _: 200) -> Iterator[Receiver]:
    with Receiver(answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.closed.set()
            server.shutdown()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    return file


@pytest.fixture
def client(data_dir: Path, config: Path) -> Iterator[Client]:
    with serving(data_dir, config=config, fetch_networks="127.0.0.0/8") as served:
        yield served


def post(client: Client, url: str, thread: str | None = None, **toy: Any) -> str:
    body = {"assistant_id": "toy", "input": {"words": "x", **toy}, "webhook": url}
    path = f"/threads/{thread}/runs" if thread else "/runs"
    answer = client.post(path, json={**body, "if_not_exists": "create"} if thread else body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["run_id"])


def found(client: Client, run_id: str) -> Json:
    every: list[Json] = client.get("/api/webhooks").json()
    return next((each for each in every if each["run_id"] == run_id), {})


def until(client: Client, run_id: str, status: str) -> Json:
    return eventually_sync(
        lambda: each if (each := found(client, run_id)).get("status") == status else {}
    )


def content_of(data_dir: Path, run_id: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(data_dir / "everturn.db")) as database:
        asked = "SELECT confidential, body FROM webhooks WHERE run_id = ?"
        row: tuple[Any, ...] = database.execute(asked, [run_id]).fetchone()
        return row


@pytest.mark.parametrize("own_thread", [False, True])
def test_what_is_delivered_is_delivered_once_and_its_content_is_gone(
    client: Client, data_dir: Path, own_thread: bool
) -> None:
    with receiving() as receiver:
        run_id = post(client, receiver.url, None if own_thread else str(uuid4()))
        shown = until(client, run_id, "delivered")
    assert [webhook for webhook, _ in receiver.received] == [run_id]
    body = json.loads(receiver.received[0][1])
    assert (body["run_id"], body["status"]) == (run_id, "success")
    assert body["values"]["messages"][-1]["content"] == "x"
    assert (shown["attempts"], shown["error"], shown["due_at"]) == (1, None, None)
    assert content_of(data_dir, run_id) == (None, None)
    refused = client.post(f"/api/webhooks/{run_id}/send")
    assert (refused.status_code, refused.json()["type"]) == (409, "webhook-delivered")


def test_one_that_is_refused_is_sent_until_it_is_a_dead_letter(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "PAUSES", (0.01, 0.01))
    well = threading.Event()
    with receiving(lambda _: 200 if well.is_set() else 500) as receiver:
        run_id = post(client, receiver.url, str(uuid4()))
        dead = until(client, run_id, "dead")
        assert len(receiver.received) == 3
        assert (dead["attempts"], dead["error"]) == (3, "The address answered 500.")
        assert dead["due_at"] is None
        assert TOKEN not in json.dumps(dead)
        assert dead["url"].endswith("/…")
        listed = client.get("/api/webhooks", params={"status": "dead"}).json()
        assert [each["run_id"] for each in listed] == [run_id]
        well.set()
        assert client.post("/api/webhooks/send").json() == {"count": 1}
        until(client, run_id, "delivered")
        assert receiver.taken == [run_id]
        assert len({webhook for webhook, _ in receiver.received}) == 1
        assert len({body for _, body in receiver.received}) == 1
    assert client.delete(f"/api/webhooks/{run_id}").status_code == 204
    assert not found(client, run_id)
    for method, path in (("DELETE", ""), ("POST", "/send")):
        answer = client.request(method, f"/api/webhooks/{run_id}{path}")
        assert (answer.status_code, answer.json()["type"]) == (404, "webhook-not-found")


def test_receivers_that_hang_hold_no_other_up(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_ATTEMPT_SECONDS", 3600)
    with receiving(lambda _: None) as hangs, receiving() as takes:
        for _ in range(5):
            post(client, hangs.url)
        eventually_sync(lambda: len(hangs.received) == 5)
        until(client, post(client, takes.url), "delivered")


def test_a_deleted_thread_takes_its_webhooks_along(client: Client) -> None:
    with receiving(lambda _: 503) as receiver:
        thread = str(uuid4())
        ended = post(client, receiver.url, thread)
        eventually_sync(lambda: found(client, ended).get("error"))
        under_way = post(client, receiver.url, thread, wait=3600)
        assert client.delete(f"/threads/{thread}").status_code == 204
        assert client.get("/api/webhooks").json() == []
        assert under_way not in {webhook for webhook, _ in receiver.received}


def test_the_webhook_of_a_deleted_run_is_gone(client: Client) -> None:
    with receiving(lambda _: 503) as receiver:
        thread = str(uuid4())
        run_id = post(client, receiver.url, thread)
        eventually_sync(lambda: found(client, run_id).get("error"))
        assert client.delete(f"/threads/{thread}/runs/{run_id}").status_code == 204
        assert not found(client, run_id)


def test_a_body_has_an_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MAX_BODY", 20_000)
    with receiving() as receiver:
        run_id = post(client, receiver.url, str(uuid4()), words="word " * 8_000)
        until(client, run_id, "delivered")
    body = receiver.received[0][1]
    told = json.loads(body)
    assert len(body) <= 20_000
    assert (told["run_id"], told["values"], told["kwargs"]) == (run_id, None, None)
    assert told["left_out"] == ["values", "kwargs"]


def test_with_a_key_neither_address_nor_body_can_be_read(data_dir: Path, config: Path) -> None:
    key = {"aes_key": "0123456789abcdef", "fetch_networks": "127.0.0.0/8"}
    with receiving(lambda _: 503) as receiver:
        with serving(data_dir, config=config, **key) as client:
            run_id = post(client, receiver.url, str(uuid4()), words="confided")
            eventually_sync(lambda: found(client, run_id).get("error"))
        assert json.loads(receiver.received[0][1])["values"]["messages"][0]["content"] == "confided"
        url, body = content_of(data_dir, run_id)
        assert TOKEN.encode() not in url
        assert b"confided" not in body
        assert url.startswith(b"aes\0")
        assert body.startswith(b"aes\0")


def settings(config: Path) -> dict[str, str]:
    return {"EVERTURN_CONFIG": str(config), "EVERTURN_FETCH_NETWORKS": "127.0.0.0/8"}


def test_a_webhook_outlives_the_process_that_was_sending_it(data_dir: Path, config: Path) -> None:
    alive = threading.Event()
    with receiving(lambda _: 200 if alive.is_set() else None) as receiver:
        with process(data_dir, **settings(config)) as first, Client(first.url()) as client:
            run_id = post(client, receiver.url, str(uuid4()))
            eventually_sync(lambda: receiver.received)
            first.kill()
        assert content_of(data_dir, run_id) != (None, None)
        alive.set()
        with process(data_dir, **settings(config)) as second, Client(second.url()) as client:
            assert until(client, run_id, "delivered")["attempts"] == 1
    assert receiver.taken == [run_id]


def test_the_end_of_a_process_costs_no_webhook_an_attempt(data_dir: Path, config: Path) -> None:
    alive = threading.Event()
    with receiving(lambda _: 200 if alive.is_set() else None) as receiver:
        with process(data_dir, **settings(config)) as first, Client(first.url()) as client:
            run_id = post(client, receiver.url)
            eventually_sync(lambda: receiver.received)
            assert first.stop() == 0
        alive.set()
        with process(data_dir, **settings(config)) as second, Client(second.url()) as client:
            assert until(client, run_id, "delivered")["attempts"] == 1


def killed_at_random(
    data_dir: Path, environment: dict[str, str], receiver: Receiver, at: float
) -> set[str]:
    """Post runs to a process, kill it a moment after their first webhook; their ids."""
    running = Process(data_dir, **environment)
    try:
        with Client(running.url()) as client:
            ids = {post(client, receiver.url, str(uuid4()), wait=0.02 * n) for n in range(8)}
            eventually_sync(lambda: receiver.received)
            time.sleep(at)
    finally:
        running.kill()
        if running.popen.stderr:
            running.popen.stderr.close()
    return ids


@pytest.mark.parametrize("at", [0.0, 0.013, 0.05])
def test_every_run_is_reported_though_its_process_is_killed(
    data_dir: Path, config: Path, at: float
) -> None:
    with receiving() as receiver:
        ids = killed_at_random(data_dir, settings(config), receiver, at)
        with process(data_dir, **settings(config)) as next_one:
            next_one.url()
            eventually_sync(lambda: set(receiver.taken) >= ids)
    assert set(receiver.taken) == ids


@pytest.fixture
async def shared(config: Path) -> AsyncIterator[dict[str, str]]:
    """Settings of processes that share both stores."""
    prefix = f"test-{uuid4().hex}"
    async with postgres_database() as database:
        yield {
            **settings(config),
            "REDIS_URL": REDIS_URL,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "EVERTURN_REDIS_PREFIX": prefix,
        }
    with Redis.from_url(REDIS_URL) as redis:
        for key in redis.scan_iter(match=f"*{prefix}*", count=1000):
            redis.delete(key)


async def test_another_process_goes_on_with_the_webhooks_of_one_that_died(
    shared: dict[str, str], tmp_path: Path
) -> None:
    with receiving() as receiver, process(tmp_path / "b", **shared) as other:
        other.url()
        ids: set[str] = set()
        for number, at in enumerate((0.0, 0.02)):
            receiver.received.clear()
            ids |= killed_at_random(tmp_path / f"a{number}", shared, receiver, at)
        eventually_sync(lambda: set(receiver.taken) >= ids)
    assert set(receiver.taken) == ids


async def test_of_two_processes_one_sends_each(shared: dict[str, str], tmp_path: Path) -> None:
    with receiving() as receiver, ExitStack() as stack:
        both = [stack.enter_context(process(tmp_path / name, **shared)) for name in "ab"]
        clients = [stack.enter_context(Client(each.url())) for each in both]
        ids = [post(clients[n % 2], receiver.url, str(uuid4())) for n in range(40)]
        eventually_sync(lambda: len(receiver.taken) >= len(ids))
        for run_id in ids:
            until(clients[0], run_id, "delivered")
    assert Counter(receiver.taken) == Counter(ids)
