"""PostgreSQL is locked, cut off or stopped: runs that are under way end all the same, once."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import create_async_engine

from tests.checkpoints.stores import in_postgres, postgres_database
from tests.server.runs.test_database_away import (
    TOY,
    Service,
    invoked,
    is_refused,
    posted,
    served,
)
from tests.waiting import PATIENCE, eventually_sync

pytestmark = pytest.mark.clock

AWAY_SECONDS = 3


@pytest.fixture
async def postgres() -> AsyncIterator[URL]:
    async with postgres_database() as url:
        yield url


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "langgraph.json"
    path.write_text(TOY)
    return str(path)


def _now(work: Coroutine[Any, Any, None]) -> None:
    """Carry it out in a loop of its own."""
    thread = threading.Thread(target=asyncio.run, args=(work,))
    thread.start()
    thread.join(PATIENCE)


@contextmanager
def _locked(database: URL, table: str) -> Iterator[None]:
    """Somebody changes a table for long."""
    held, over = threading.Event(), threading.Event()

    async def hold() -> None:
        other = create_async_engine(database)
        async with other.connect() as connection:
            await connection.exec_driver_sql(f"LOCK TABLE everturn.{table} IN EXCLUSIVE MODE")
            held.set()
            await asyncio.to_thread(over.wait)
            await connection.rollback()
        await other.dispose()

    holding = threading.Thread(target=asyncio.run, args=(hold(),))
    holding.start()
    assert held.wait(PATIENCE)
    yield
    over.set()
    holding.join(PATIENCE)


@contextmanager
def runs_locked(database: URL) -> Iterator[None]:
    with _locked(database, "runs"):
        yield


@contextmanager
def history_locked(database: URL) -> Iterator[None]:
    with _locked(database, "chat_history"):
        yield


async def _cut(database: URL) -> None:
    await in_postgres(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{database.database}'"
    )


@contextmanager
def gone(database: URL) -> Iterator[None]:
    """All connections are ended, and none is taken."""
    allow = f"ALTER DATABASE {database.database} ALLOW_CONNECTIONS"
    _now(in_postgres(f"{allow} false"))
    _now(_cut(database))
    yield
    _now(in_postgres(f"{allow} true"))


@contextmanager
def cut_again_and_again(database: URL) -> Iterator[None]:
    """Each connection is ended soon after it was made, in the middle of whatever it does."""
    over = threading.Event()

    async def cut() -> None:
        while not over.is_set():
            await _cut(database)
            await asyncio.sleep(0.05)

    cutting = threading.Thread(target=asyncio.run, args=(cut(),))
    cutting.start()
    yield
    over.set()
    cutting.join(PATIENCE)


Fault = Callable[[URL], Any]


def _reaches(service: Service, thread_id: str, *statuses: str) -> None:
    eventually_sync(lambda: service.statuses(thread_id) == list(statuses))


@pytest.mark.parametrize("fault", [runs_locked, history_locked, gone, cut_again_and_again])
def test_an_end_is_kept_until_it_is_stored(
    data_dir: Path, config: str, postgres: URL, fault: Fault
) -> None:
    until = data_dir.parent / "until"
    url = postgres.render_as_string(hide_password=False)
    with served(data_dir, config, DATABASE_URL=url) as service:
        sessions = [service.session() for _ in range(3)]
        waiting = [service.later("/invoke", invoked(each, "one", until)) for each in sessions]
        for each in sessions:
            _reaches(service, each, "running")
            service.later(f"/threads/{each}/runs", posted("two")).result()
        for each in sessions:
            _reaches(service, each, "running", "pending")
        made = [2, 2, 2]
        with fault(postgres):
            began = time.monotonic()
            until.touch()
            posts = [service.later(f"/threads/{each}/runs", posted("more")) for each in sessions]
            for number, post in enumerate(posts):
                if post.result().status_code == 200:
                    made[number] += 1
                else:
                    is_refused(post.result())
            answers = [each.result() for each in waiting]  # while it is away
            time.sleep(max(0.0, began + AWAY_SECONDS - time.monotonic()))
        for answer in answers:
            if answer.status_code != 200:
                assert "This turn is kept" in is_refused(answer)
        for session, count in zip(sessions, made, strict=True):
            _reaches(service, session, *["success"] * count)
            said = ["one", "two", "more"][:count]
            assert service.said(session) == [each for text in said for each in (text, "hello you")]
            assert service.history(session) == ["one"]
            again = service.client.post("/invoke", json=invoked(session, "again"))
            assert again.status_code == 200
            assert service.client.get(f"/threads/{session}").json()["status"] == "idle"
