"""A turn that is cut and sent again with its key: one question, one answer, one history row."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any
from uuid import uuid4

import httpx
import pytest

from everturn.server.api.http.problems import IDEMPOTENCY_KEY, REPLAYED
from everturn.server.cli.chat.service import Service
from tests.checkpoints.stores import REDIS_URL, postgres_database, redis_store
from tests.provider import KEY, FakeProvider, Fault, Reply, ToolCall
from tests.service import Client, Event, process, read_events, serving
from tests.waiting import PATIENCE, eventually_sync

STALL = Fault("stall", reply=Reply("one two three four five"), after=3)
CUT = (httpx.TransportError,)
MESSAGE, STREAM = "/api/chat/message", "/api/chat/message/stream"


def asking(provider: FakeProvider) -> dict[str, str]:
    return {
        "EVERTURN_BASE_URL": provider.url,
        "OPENAI_API_KEY": KEY,
        "EVERTURN_MODELS": "m",
        "EVERTURN_STALL_TIMEOUT": "300",
    }


def with_key(**more: str) -> dict[str, str]:
    return {IDEMPOTENCY_KEY: str(uuid4()), **more}


def said_once(client: Client, session: str, question: str, answer: str) -> None:
    """Check that a session knows one question and one answer, and so does its history."""
    (row,) = client.get(f"/api/chat/history/{session}").json()
    assert (row["user_message"], row["assistant_message"]) == (question, answer)
    messages = client.get(f"/api/chat/session/{session}").json()["messages"]
    assert [each["content"] for each in messages] == [question, answer]
    assert client.get("/api/chat/sessions").json()["total"] == 1


def words_of(events: list[Event]) -> str:
    said = ""
    for event in events:
        if event.name == "message":
            said += event.data["content"]
        elif event.name == "reset":
            said = said[: -event.data["chars"]]
    return said


@pytest.mark.clock
def test_a_message_is_answered_once_after_kill_9(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", STALL, "It is done.")
    body, headers = {"message": "Count to five"}, with_key()
    with (
        process(data_dir, **asking(fake_provider)) as running,
        Client(running.url()) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(client.post, MESSAGE, json=body, headers=headers)
        eventually_sync(lambda: fake_provider.calls() == 1)
        running.kill()
        assert isinstance(asked.exception(), CUT)
    with process(data_dir, **asking(fake_provider)) as running, Client(running.url()) as client:
        answer = client.post(MESSAGE, json=body, headers=headers)
        assert (answer.status_code, answer.headers[REPLAYED]) == (200, "true")
        assert answer.json()["response"] == "It is done."
        said_once(client, answer.json()["session_id"], "Count to five", "It is done.")
        assert client.post(MESSAGE, json=body, headers=headers).content == answer.content
    with process(data_dir, **asking(fake_provider)) as running, Client(running.url()) as client:
        assert client.post(MESSAGE, json=body, headers=headers).content == answer.content
    assert fake_provider.calls() == 2


@pytest.mark.clock
def test_a_stream_goes_on_after_kill_9(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("m", STALL, "It is done.")
    body, headers = {"message": "Count to five"}, with_key()
    seen: list[Event] = []
    with (
        process(data_dir, **asking(fake_provider)) as running,
        Client(running.url()) as client,
        suppress(*CUT),
        client.stream("POST", STREAM, json=body, headers=headers) as response,
    ):
        for event in read_events(response):
            seen.append(event)
            if event.name == "message":
                running.kill()
    with process(data_dir, **asking(fake_provider)) as running, Client(running.url()) as client:
        with client.stream("POST", STREAM, json=body, headers=headers) as response:
            assert response.headers[REPLAYED] == "true"
            events = list(read_events(response))
        assert events[-1].name == "done"
        assert words_of(events) == "It is done."
        assert [e.data["attempt"] for e in events if e.name == "metadata"][-1] == 2
        said_once(client, seen[0].data["session_id"], "Count to five", "It is done.")


@pytest.mark.clock
@pytest.mark.parametrize("path", ["/invoke", "/runs/wait", "/runs/stream"])
def test_a_run_that_keeps_no_thread_is_answered_after_kill_9(
    data_dir: Path, fake_provider: FakeProvider, path: str
) -> None:
    fake_provider.script("m", STALL, Reply("Done.", between=0.5))
    asked = {"input": {"messages": "Count to five"}}
    body, headers = {**asked, **({"assistant_id": "agent"} if "runs" in path else {})}, with_key()
    with (
        process(data_dir, **asking(fake_provider)) as running,
        Client(running.url()) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(client.post, path, json=body, headers=headers)
        eventually_sync(lambda: fake_provider.calls() == 1)
        running.kill()
    with process(data_dir, **asking(fake_provider)) as running, Client(running.url()) as client:
        answer = client.post(path, json=body, headers=headers)
        assert (answer.status_code, answer.headers[REPLAYED]) == (200, "true")
        assert '"Done."' in answer.text
        again = client.post(path, json=body, headers=headers)
        assert again.content == answer.content
        assert fake_provider.calls() == 2


def dies(tmp_path: Path, provider: FakeProvider, shared: dict[str, str], path: str) -> None:
    """Kill one of two processes in a turn, and send it again to the other."""
    settings = {**asking(provider), **shared}
    body, headers = {"message": "Count to five"}, with_key()
    with (
        process(tmp_path / "a", **settings) as first,
        process(tmp_path / "b", **settings) as second,
        Client(first.url()) as client,
        Client(second.url()) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        asked = pool.submit(client.post, path, json=body, headers=headers)
        eventually_sync(lambda: provider.calls() == 1)
        waiting = pool.submit(other.post, path, json=body, headers=headers)  # while it runs there
        first.kill()
        assert path == STREAM or isinstance(asked.exception(), CUT)
        answer = waiting.result()
        assert (answer.status_code, answer.headers[REPLAYED]) == (200, "true")
        assert "It is done." in answer.text or path == STREAM
        again = other.post(path, json=body, headers=headers)
        assert again.content == answer.content or path == STREAM
        (session,) = other.get("/api/chat/sessions").json()["sessions"]
        said_once(other, session["session_id"], "Count to five", "It is done.")
        assert provider.calls() == 2


@pytest.mark.clock
@pytest.mark.parametrize("path", [MESSAGE, STREAM])
async def test_another_process_answers(
    tmp_path: Path, fake_provider: FakeProvider, path: str
) -> None:
    fake_provider.script("m", STALL, "It is done.")
    async with redis_store() as redis, postgres_database() as database:
        shared = {
            "REDIS_URL": REDIS_URL,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "EVERTURN_REDIS_PREFIX": redis.prefix,
        }
        await asyncio.to_thread(dies, tmp_path, fake_provider, shared, path)


@pytest.mark.clock
async def test_of_two_processes_one_starts_it(tmp_path: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("m", Reply("Hello there.", between=0.05))
    async with redis_store() as redis, postgres_database() as database:
        settings = {
            "redis_url": REDIS_URL,
            "database_url": database.render_as_string(hide_password=False),
            "redis_prefix": redis.prefix,
            **in_process(fake_provider),
        }
        await asyncio.to_thread(_asked_of_both, tmp_path, settings, fake_provider)


def _asked_of_both(tmp_path: Path, settings: dict[str, Any], provider: FakeProvider) -> None:
    with (
        serving(tmp_path / "a", **settings) as one,
        serving(tmp_path / "b", **settings) as two,
        ThreadPoolExecutor(20) as pool,
    ):
        for number in range(3):
            body, headers = {"message": f"Hi {number}"}, with_key()
            asked = [
                pool.submit(client.post, MESSAGE, json=body, headers=headers)
                for client in (one, two) * 10
            ]
            answers = [each.result() for each in asked]
            assert [each.status_code for each in answers] == [200] * 20, answers
            assert len({each.content for each in answers}) == 1
        assert provider.calls() == 3
        assert one.get("/api/chat/sessions").json()["total"] == 3


def in_process(provider: FakeProvider) -> dict[str, Any]:
    settings = {"base_url": provider.url, "openai_api_key": KEY, "models": "m"}
    return {**settings, "stall_timeout": 300.0}


@contextmanager
def chatting(data_dir: Path, provider: FakeProvider, **settings: Any) -> Iterator[Client]:
    with serving(data_dir, **in_process(provider), **settings) as client:
        yield client


def with_ids(response: httpx.Response) -> list[tuple[str, str]]:
    """Each event of a stream as it was written, and its id."""
    found, place = [], ""
    for block in response.text.split("\r\n\r\n"):
        if "event: " not in block:
            continue
        _, here, place = block.partition("\r\nid: ")
        found.append((block, place if here else ""))
    return found


def test_a_chat_stream_is_joined_at_every_event(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", "It is done.")
    body, headers = {"message": "Count to five"}, with_key()
    with chatting(data_dir, fake_provider) as client:
        whole = with_ids(client.post(STREAM, json=body, headers=headers))
        assert "event: done" in whole[-1][0]
        for number, (_, place) in enumerate(whole, 1):
            if place:
                last = {**headers, "Last-Event-ID": place}
                rest = with_ids(client.post(STREAM, json=body, headers=last))
                assert rest == whole[number:]
        said_once(
            client,
            client.get("/api/chat/sessions").json()["sessions"][0]["session_id"],
            "Count to five",
            "It is done.",
        )


def test_a_turn_goes_on_when_its_client_leaves(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("m", Reply("It is done.", between=0.1))
    body, headers = {"message": "Count to five"}, with_key()
    with chatting(data_dir, fake_provider) as client:
        with client.stream("POST", STREAM, json=body, headers=headers) as response:
            for event in read_events(response):
                if event.name == "message":
                    break
        events = client.post(STREAM, json=body, headers=headers)
        assert "event: done" in events.text
        (session,) = client.get("/api/chat/sessions").json()["sessions"]
        said_once(client, session["session_id"], "Count to five", "It is done.")


def test_a_message_whose_client_leaves_is_answered_when_it_is_sent_again(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", Reply("It is done.", between=0.1))
    body, headers = {"message": "Count to five"}, with_key()
    with chatting(data_dir, fake_provider) as client:
        with suppress(httpx.ReadTimeout):
            client.post(MESSAGE, json=body, headers=headers, timeout=0.1)
        answer = client.post(MESSAGE, json=body, headers=headers).json()
        assert answer["response"] == "It is done."
        said_once(client, answer["session_id"], "Count to five", "It is done.")


def test_a_decision_is_carried_out_once(data_dir: Path, fake_provider: FakeProvider) -> None:
    call = Reply(tool_calls=[ToolCall("calculator", {"expression": "6 * 7"})])
    fake_provider.script("m", call, "It is 42.")
    with chatting(data_dir, fake_provider, approve_tools=["calculator"]) as client:
        waits = client.ask("What is 6 * 7?")
        assert waits["status"] == "approval_required"
        path = f"/api/chat/session/{waits['session_id']}/resume"
        body = {"decisions": [{"id": waits["calls"][0]["id"], "type": "approve"}]}
        headers = with_key()
        answer = client.post(path, json=body, headers=headers)
        assert answer.json()["response"] == "It is 42."
        again = client.post(path, json=body, headers=headers)
        assert (again.status_code, again.content) == (200, answer.content)
        assert client.post(path, json=body, headers=with_key()).status_code == 409


@pytest.mark.clock
def test_a_decision_is_carried_out_once_after_kill_9(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    call = Reply(tool_calls=[ToolCall("calculator", {"expression": "6 * 7"})])
    fake_provider.script("m", call, STALL, "It is 42.")
    approving = {**asking(fake_provider), "EVERTURN_APPROVE_TOOLS": "calculator"}
    headers = with_key()
    with (
        process(data_dir, **approving) as running,
        Client(running.url()) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        waits = client.ask("What is 6 * 7?")
        path = f"/api/chat/session/{waits['session_id']}/resume"
        body = {"decisions": [{"id": waits["calls"][0]["id"], "type": "approve"}]}
        pool.submit(client.post, path, json=body, headers=headers)
        eventually_sync(lambda: fake_provider.calls() == 2)
        running.kill()
    with process(data_dir, **approving) as running, Client(running.url()) as client:
        answer = client.post(path, json=body, headers=headers)
        assert (answer.status_code, answer.headers[REPLAYED]) == (200, "true")
        assert (answer.json()["response"], answer.json()["tools_used"]) == (
            "It is 42.",
            ["calculator"],
        )
        (row,) = client.get(f"/api/chat/history/{waits['session_id']}").json()
        assert (row["user_message"], row["assistant_message"]) == ("What is 6 * 7?", "It is 42.")


@pytest.mark.clock
def test_at_sigterm_who_waits_with_a_key_is_told_to_ask_again(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", STALL, "It is done.")
    asked = {"assistant_id": "agent", "input": {"messages": "Count to five"}}
    short = {**asking(fake_provider), "EVERTURN_SHUTDOWN_GRACE": "0.2"}
    headers = with_key()
    with (
        process(data_dir, **short) as running,
        Client(running.url()) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(client.post, "/runs/wait", json=asked, headers=headers)
        eventually_sync(lambda: fake_provider.calls() == 1)
        assert running.stop() == 0
        assert waiting.result().status_code == 503
        assert "Retry-After" in waiting.result().headers
    with process(data_dir, **short) as running, Client(running.url()) as client:
        answer = client.post("/runs/wait", json=asked, headers=headers)
        assert answer.json()["messages"][-1]["content"] == "It is done."


def test_an_answer_outlives_its_session_and_not_its_deletion(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", "Hello.", "Hello again.")
    with chatting(data_dir, fake_provider, session_ttl=1) as client:
        body, headers = {"message": "Hi"}, with_key()
        answer = client.post(MESSAGE, json=body, headers=headers)
        session = answer.json()["session_id"]
        eventually_sync(lambda: client.get(f"/threads/{session}").status_code == 404)
        assert client.post(MESSAGE, json=body, headers=headers).content == answer.content
        assert client.delete(f"/api/chat/session/{session}").status_code == 204
        gone = client.post(MESSAGE, json=body, headers=headers)
        assert (gone.status_code, gone.json()["type"]) == (410, "answer-gone")


def test_what_never_began_is_run_when_it_is_sent_again(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", STALL, "Fine.")
    with (
        chatting(data_dir, fake_provider, thread_wait=0.2) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        session = client.post("/api/chat/session").json()["session_id"]
        first = {"message": "Count to five", "session_id": session}
        second, key, headers = {**first, "message": "And now?"}, with_key(), with_key()
        stalled = pool.submit(client.post, MESSAGE, json=first, headers=key)
        eventually_sync(lambda: fake_provider.calls() == 1)
        busy = client.post(MESSAGE, json=second, headers=headers)
        assert (busy.status_code, busy.json()["type"]) == (409, "thread-busy")
        (run,) = client.get(f"/threads/{session}/runs", params={"status": "running"}).json()
        client.post(f"/threads/{session}/runs/{run['run_id']}/cancel")
        assert stalled.result().json()["type"] == "run-cancelled"
        cancelled = client.post(MESSAGE, json=first, headers=key)
        assert (cancelled.status_code, cancelled.json()["type"]) == (409, "run-cancelled")
        answer = client.post(MESSAGE, json=second, headers=headers)
        assert (answer.json()["response"], answer.headers.get(REPLAYED)) == ("Fine.", None)


@pytest.mark.clock
def test_a_key_expires(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("m", "Hello.", "Hello again.")
    with chatting(data_dir, fake_provider, idempotency_ttl=1) as client:
        body, headers = {"message": "Hi"}, with_key()
        first = client.post(MESSAGE, json=body, headers=headers)
        eventually_sync(
            lambda: client.post(MESSAGE, json=body, headers=headers).content != first.content
        )
        assert fake_provider.calls() == 2


@pytest.mark.clock
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_everturn_chat_goes_on_where_it_was_cut(
    data_dir: Path, fake_provider: FakeProvider, sign: signal.Signals
) -> None:
    fake_provider.script("m", STALL, "It is done.")
    short = {**asking(fake_provider), "EVERTURN_SHUTDOWN_GRACE": "0.2"}
    with process(data_dir, **short) as running:
        url = running.url()
        command = [*running.command[:3], "chat", "--plain", "--url", url, "Count to five"]
        with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as chat:
            eventually_sync(lambda: fake_provider.calls() == 1)
            running.popen.send_signal(sign)
            running.ended()
            port = url.rpartition(":")[2]
            with process(data_dir, "--port", port, **short) as again, Client(again.url()) as client:
                out, err = chat.communicate(timeout=PATIENCE)
                assert (chat.returncode, out) == (0, "It is done.\n"), err
                (session,) = client.get("/api/chat/sessions").json()["sessions"]
                said_once(client, session["session_id"], "Count to five", "It is done.")


def test_everturn_chat_ends_the_turn_that_it_leaves(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", STALL)
    with chatting(data_dir, fake_provider) as client, Service(str(client.base_url)) as service:
        events = service.stream("Count to five", None, None)
        assert next(events)[0] == "metadata"
        events.close()
        (session,) = client.get("/api/chat/sessions").json()["sessions"]
        runs = f"/threads/{session['session_id']}/runs"
        eventually_sync(lambda: client.get(runs).json()[0]["status"] == "interrupted")


@pytest.mark.clock
def test_at_sigterm_a_turn_with_a_key_is_handed_over(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", STALL, "It is done.")
    body, headers = {"message": "Count to five"}, with_key()
    short = {**asking(fake_provider), "EVERTURN_SHUTDOWN_GRACE": "0.2"}
    with (
        process(data_dir, **short) as running,
        Client(running.url()) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(client.post, MESSAGE, json=body, headers=headers)
        eventually_sync(lambda: fake_provider.calls() == 1)
        assert running.stop() == 0
        assert asked.result().status_code == 503
        assert "Retry-After" in asked.result().headers
    with process(data_dir, **short) as running, Client(running.url()) as client:
        answer = client.post(MESSAGE, json=body, headers=headers).json()
        assert answer["response"] == "It is done."
        said_once(client, answer["session_id"], "Count to five", "It is done.")


@pytest.mark.clock
def test_at_sigterm_a_turn_without_a_key_leaves_no_question(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", STALL, "It is done.")
    short = {**asking(fake_provider), "EVERTURN_SHUTDOWN_GRACE": "0.2"}
    with (
        process(data_dir, **short) as running,
        Client(running.url()) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        session = client.post("/api/chat/session").json()["session_id"]
        body = {"message": "Count to five", "session_id": session}
        asked = pool.submit(client.post, MESSAGE, json=body)
        eventually_sync(lambda: fake_provider.calls() == 1)
        assert running.stop() == 0
        assert asked.result().status_code == 503
    with process(data_dir, **short) as running, Client(running.url()) as client:
        assert client.get(f"/api/chat/session/{session}").json()["messages"] == []
        assert client.post(MESSAGE, json=body).json()["response"] == "It is done."
        said_once(client, session, "Count to five", "It is done.")


@pytest.mark.clock
async def test_who_joins_a_run_that_is_handed_over_twice_is_not_told_half_of_it(
    tmp_path: Path, fake_provider: FakeProvider
) -> None:
    async with redis_store() as redis, postgres_database() as database:
        shared = {
            "REDIS_URL": REDIS_URL,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "EVERTURN_REDIS_PREFIX": redis.prefix,
            "EVERTURN_SHUTDOWN_GRACE": "0.2",
        }
        await asyncio.to_thread(_is_joined_and_handed_over, tmp_path, fake_provider, shared)


def _is_joined_and_handed_over(
    tmp_path: Path, provider: FakeProvider, shared: dict[str, str]
) -> None:
    provider.script("m", STALL, STALL, "It is done.")
    settings = {**asking(provider), **shared}
    asked = {"assistant_id": "agent", "input": {"messages": "Count to five"}}
    with (
        process(tmp_path / "a", **settings) as first,
        process(tmp_path / "b", **settings) as second,
        Client(first.url()) as client,
        Client(second.url()) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        thread = client.post("/threads", json={}).json()["thread_id"]
        run = client.post(f"/threads/{thread}/runs", json=asked).json()["run_id"]
        eventually_sync(lambda: provider.calls() == 1)
        place = f"/threads/{thread}/runs/{run}/join"
        joined = pool.submit(other.get, place)
        first.kill()
        eventually_sync(lambda: provider.calls() == 2)
        assert second.stop() == 0
        assert isinstance(joined.exception(), CUT)
    with process(tmp_path / "c", **settings) as third, Client(third.url()) as client:
        assert client.get(place).json()["messages"][-1]["content"] == "It is done."


@pytest.mark.clock
async def test_who_joins_a_chat_stream_that_is_handed_over_twice_is_told_of_no_end(
    tmp_path: Path, fake_provider: FakeProvider
) -> None:
    async with redis_store() as redis, postgres_database() as database:
        shared = {
            "REDIS_URL": REDIS_URL,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "EVERTURN_REDIS_PREFIX": redis.prefix,
            "EVERTURN_SHUTDOWN_GRACE": "0.2",
        }
        await asyncio.to_thread(_is_streamed_and_handed_over, tmp_path, fake_provider, shared)


def _is_streamed_and_handed_over(
    tmp_path: Path, provider: FakeProvider, shared: dict[str, str]
) -> None:
    provider.script("m", STALL, STALL, "It is done.")
    settings = {**asking(provider), **shared}
    heard: list[Event] = []
    with (
        process(tmp_path / "a", **settings) as first,
        process(tmp_path / "b", **settings) as second,
        Client(first.url()) as client,
        Client(second.url()) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        session = client.post("/api/chat/session", json={}).json()["session_id"]
        body = {"message": "Count to five", "session_id": session}
        pool.submit(client.post, STREAM, json=body, headers=with_key())
        eventually_sync(lambda: provider.calls() == 1)
        (run,) = other.get(f"/threads/{session}/runs").json()
        place = f"/api/chat/session/{session}/runs/{run['run_id']}/stream"

        def join() -> None:
            with suppress(*CUT), other.stream("GET", place) as response:
                for event in read_events(response):
                    heard.append(event)  # noqa: PERF402 - what came before the cut

        joined = pool.submit(join)
        first.kill()
        eventually_sync(lambda: provider.calls() == 2)
        assert second.stop() == 0
        joined.result()
    assert {"done", "error"}.isdisjoint(event.name for event in heard)
    with process(tmp_path / "c", **settings) as third, Client(third.url()) as client:
        with client.stream("GET", place) as response:
            events = list(read_events(response))
        assert (events[-1].name, words_of(events)) == ("done", "It is done.")
