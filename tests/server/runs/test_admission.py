"""When runs start: in order, one a round of the event loop, and not at all where it is too late."""

import asyncio
import itertools
from pathlib import Path

import pytest

from everturn.server.errors import Overloaded
from everturn.server.runs import admission
from everturn.server.runs.admission import Admission
from tests.service import Client, serving


async def test_runs_start_in_order_one_a_round() -> None:
    doors, started, rounds = Admission(60), [], [0]

    async def start(number: int) -> None:
        await doors.client()
        started.append((number, rounds[0]))

    starting = [asyncio.create_task(start(number)) for number in range(20)]
    while not all(task.done() for task in starting):
        rounds[0] += 1
        await asyncio.sleep(0)
    assert [number for number, _ in started] == list(range(20))
    at = [when for _, when in started]
    assert all(later > earlier for earlier, later in itertools.pairwise(at))


async def test_one_that_left_takes_nobodys_turn() -> None:
    doors = Admission(60)
    waiting = [asyncio.create_task(doors.client()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[2].cancel()
    await asyncio.wait(waiting)
    assert [task.cancelled() for task in waiting] == [False, False, True, False, False]


async def test_who_would_wait_too_long_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_KNOWN_AFTER", 0.0)
    doors = Admission(0)  # whoever has to wait at all
    starting = [asyncio.create_task(doors.client()) for _ in range(20)]
    background = [asyncio.create_task(doors.background()) for _ in range(20)]
    await asyncio.wait([*starting, *background])
    refused = [task.exception() for task in starting if task.exception()]
    assert refused
    assert all(isinstance(each, Overloaded) and each.retry_after > 0 for each in refused)
    assert starting[0].exception() is None  # the first ones are served
    assert starting[-1].exception() is not None
    assert all(task.exception() is None for task in background)  # those have time


def test_a_client_is_told_when_to_come_back(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = {"message": "Hello"}
    run = {"assistant_id": "agent", "input": {"messages": "Hello"}}
    with serving(data_dir) as client:
        monkeypatch.setattr(Admission, "_refusal", lambda _: Overloaded("Too much.", 7.2))
        for path, body in (
            ("/api/chat/message", chat),
            ("/api/chat/message/stream", chat),
            ("/invoke", {"graph": "agent", "input": run["input"]}),
            ("/runs/stream", run),
            ("/runs/wait", run),
        ):
            answer = client.post(path, json=body)
            assert (answer.status_code, answer.json()["type"]) == (503, "overloaded"), path
            assert answer.headers["retry-after"] == "8"
        thread = client.post("/threads", json={}).json()["thread_id"]
        started = client.post(f"/threads/{thread}/runs", json=run)
        assert started.status_code == 200, started.text  # it is queued
        joined = client.get(f"/threads/{thread}/runs/{started.json()['run_id']}/join")
        assert "__error__" not in joined.json()


def test_many_streams_at_once_are_all_answered(client: Client) -> None:
    async def ask_all() -> list[int]:
        import httpx

        limits = httpx.Limits(max_connections=None)
        url = client.base_url
        async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as asking:

            async def ask(number: int) -> int:
                body = {"message": f"Hello {number}"}
                while True:
                    answer = await asking.post("/api/chat/message/stream", json=body)
                    if answer.status_code != 503:  # refused, and nothing of it was done
                        return answer.text.count("event: done")
                    assert "retry-after" in answer.headers
                    await asyncio.sleep(0.1)

            return await asyncio.gather(*(ask(number) for number in range(60)))

    assert asyncio.run(ask_all()) == [1] * 60
