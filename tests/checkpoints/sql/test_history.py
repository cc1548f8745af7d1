import asyncio
import math
import signal
import sqlite3
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine

from everturn.checkpoints.errors import StoreUnavailable, ValueRefused
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.group_commit import GroupCommit, open_group_commit
from everturn.checkpoints.sql.history import FinishedTurn, Totals, turn_finished
from everturn.checkpoints.sql.history import History as Readings
from tests.checkpoints.stores import ROOT, in_postgres, postgres_database
from tests.waiting import eventually


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/history.db"
    else:
        async with postgres_database() as database:
            yield database.render_as_string(hide_password=False)


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(url, tmp_path) as opened:
        yield opened


class History(Readings):
    """The history, written as runs write it: with the rows of others."""

    def __init__(self, database: Database, rows: GroupCommit) -> None:
        super().__init__(database)
        self._rows = rows

    async def add(self, turn: FinishedTurn) -> int:
        (turn_id,) = await self._rows.write(turn_finished(turn))
        return int(turn_id)


@asynccontextmanager
async def open_history(database: Database) -> AsyncIterator[History]:
    async with open_group_commit(database) as rows:
        yield History(database, rows)


@pytest.fixture
async def history(database: Database) -> AsyncIterator[History]:
    async with open_history(database) as opened:
        yield opened


def turn(number: int = 0, session_id: str = "s", **others: Any) -> FinishedTurn:
    return FinishedTurn(
        session_id=session_id,
        user_message=f"question {number}",
        assistant_message=f"answer {number}",
        model_used="mock",
        **others,
    )


def commits_of(database: Database) -> list[object]:
    commits: list[object] = []
    event.listen(database.sync_engine, "commit", commits.append)
    return commits


@asynccontextmanager
async def writes_blocked(database: Database, mode: str = "EXCLUSIVE") -> AsyncIterator[None]:
    """Nobody else can write until the end of the block."""
    if database.dialect.name == "sqlite":
        with closing(sqlite3.connect(database.url.database or "")) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
        return
    blocker = create_async_engine(database.url)
    async with blocker.connect() as connection:
        await connection.exec_driver_sql(f"LOCK TABLE everturn.chat_history IN {mode} MODE")
        yield
        await connection.rollback()
    await blocker.dispose()


async def test_a_turn_comes_back_as_it_was(history: History) -> None:
    seoul = timezone(timedelta(hours=9))
    said = FinishedTurn(
        session_id="세션 🎈 'one' \\ %",
        user_message="10 * 20?\n",
        assistant_message="",
        tools_used=["calculator", "weather"],
        model_used="vendor/model:free",
        tokens_used=2**40,
        cost=0.1 + 0.2,
        metadata={"route": {"tried": [1, None, True]}, "nul": "\0", "big": 10**30},
        created_at=datetime(2026, 11, 24, 1, 2, 3, 456789, seoul),
    )
    said = replace(said, id=await history.add(said))
    assert await history.page(said.session_id, limit=10) == ([said], False)
    (read,), _ = await history.page(said.session_id, limit=10)
    assert read.created_at.tzinfo is UTC


async def test_characters_that_no_database_stores_do_not_lose_a_turn(history: History) -> None:
    await history.add(replace(turn(), user_message="a\0b", assistant_message="c\ud800d"))
    (read,), _ = await history.page("s", limit=1)
    assert read.assistant_message == "c\ufffdd"
    assert read.user_message == "a\ufffdb"


@pytest.mark.parametrize("session_id", ["nul \0", "lone surrogate \ud800"])
async def test_an_id_that_no_database_stores_belongs_to_no_session(
    history: History, session_id: str
) -> None:
    await history.add(turn(session_id="nul \ufffd"))
    assert await history.page(session_id, limit=1) == ([], False)
    assert not await history.exists(session_id)
    assert await history.delete(session_id) == 0
    with pytest.raises(ValueRefused, match="refuses this row"):
        await history.add(turn(session_id=session_id))


async def test_pages_go_back_in_time_and_read_forward(history: History) -> None:
    ids = [await history.add(turn(number)) for number in range(5)]
    await history.add(turn(session_id="another"))
    assert ids == sorted(set(ids))

    async def page(before: int | None) -> tuple[list[int | None], bool]:
        turns, more = await history.page("s", limit=2, before=before)
        return [each.id for each in turns], more

    assert await page(None) == (ids[3:], True)
    assert await page(ids[3]) == (ids[1:3], True)
    assert await page(ids[1]) == (ids[:1], False)
    assert await page(ids[0]) == ([], False)
    assert await page(10**30) == (ids[3:], True)
    assert await page(0) == await page(-(10**30)) == ([], False)


async def test_sessions_are_summed_up_by_one_query(history: History, database: Database) -> None:
    for number, (session_id, cost) in enumerate(
        [("a", 0.25), ("b", None), ("a", None), ("c", 9.0), ("a", 0.5)]
    ):
        await history.add(turn(number, session_id, cost=cost))
    long = replace(turn(0, "long"), user_message="가" * 5000)
    await history.add(long)
    queries: list[str] = []
    event.listen(
        database.sync_engine, "before_cursor_execute", lambda *about: queries.append(about[2])
    )
    found = await history.totals(["a", "b", "long", "nobody"])
    assert len([query for query in queries if "chat_history" in query]) == 1
    assert found == {
        "a": Totals(turns=3, cost=0.75, first_message="question 0"),
        "b": Totals(turns=1, cost=None, first_message="question 1"),
        "long": Totals(turns=1, cost=None, first_message="가" * 500),
    }
    assert await history.totals([]) == {}


async def test_a_deleted_session_is_gone_and_its_ids_are_not_given_again(history: History) -> None:
    first, last = await history.add(turn()), await history.add(turn())
    other = await history.add(turn(session_id="other"))
    assert await history.exists("s")
    assert await history.delete("s") == 2
    assert not await history.exists("s")
    assert await history.delete("s") == 0
    assert await history.delete("other") == 1
    assert await history.add(turn()) > max(first, last, other)


async def test_turns_that_come_together_are_one_commit(
    history: History, database: Database
) -> None:
    commits = commits_of(database)
    ids = await asyncio.gather(*(history.add(turn(number)) for number in range(500)))
    assert len(commits) == 1
    read, _ = await history.page("s", limit=500)
    assert [(each.id, each.user_message) for each in read] == [
        (row_id, f"question {number}") for number, row_id in enumerate(ids)
    ]


async def test_what_arrives_during_a_commit_is_the_next_group(
    history: History, database: Database
) -> None:
    commits, begun = commits_of(database), list[object]()
    event.listen(database.sync_engine, "begin", begun.append)
    async with writes_blocked(database):
        first = asyncio.create_task(history.add(turn()))
        await eventually(lambda: begun)
        rest = [asyncio.create_task(history.add(turn(number))) for number in range(20)]
        await asyncio.sleep(0.05)
        assert not first.done()
    await asyncio.gather(first, *rest)
    assert len(commits) == 2


async def test_more_turns_than_may_wait(history: History) -> None:
    ids = await asyncio.gather(*(history.add(turn(number)) for number in range(2300)))
    assert len(set(ids)) == 2300


@pytest.mark.parametrize(
    "flaw",
    [
        {"metadata": {"not": object()}},
        {"tokens_used": 2**70},
        {"tokens_used": None},
        {"session_id": None},
        {"created_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - a naive one is the flaw
        {"tools_used": math},
    ],
    ids=["unknown type", "too large", "no number", "no session", "naive", "no list"],
)
async def test_a_bad_turn_takes_no_sibling_along(history: History, flaw: dict[str, Any]) -> None:
    turns = [turn(number) for number in range(20)]
    turns[7] = replace(turns[7], **flaw)
    results = await asyncio.gather(*map(history.add, turns), return_exceptions=True)
    assert [type(each) for each in results] == [int] * 7 + [ValueRefused] + [int] * 12
    assert "refuses this row" in str(results[7])
    read, _ = await history.page("s", limit=100)
    assert [each.id for each in read] == results[:7] + results[8:]


async def test_a_refused_turn_is_not_quoted(history: History) -> None:
    with pytest.raises(ValueRefused) as refused:
        await history.add(turn(7, metadata={"not": object()}))
    assert "question 7" not in "".join(traceback.format_exception(refused.value))


async def test_a_database_that_hangs(tmp_path: Path) -> None:
    async with (
        postgres_database() as url,
        open_database(url.render_as_string(hide_password=False), tmp_path) as database,
        open_history(database) as history,
    ):
        async with writes_blocked(database, "ACCESS EXCLUSIVE"):
            for operation in (history.add(turn()), history.page("s", limit=1), history.delete("s")):
                with pytest.raises(StoreUnavailable, match=r"does not answer|written nothing"):
                    await operation
        await history.add(turn(2))
        assert (await history.page("s", limit=1))[0][0].user_message == "question 2"


async def test_a_cancelled_waiter_disturbs_nobody(history: History, database: Database) -> None:
    async with writes_blocked(database):
        first = asyncio.create_task(history.add(turn(0)))
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(history.add(turn(number))) for number in range(1, 4)]
        await asyncio.sleep(0.05)
        first.cancel()
        waiting[1].cancel()
        await asyncio.wait([first, waiting[1]])
    await asyncio.gather(waiting[0], waiting[2])
    assert first.cancelled()
    assert waiting[1].cancelled()
    read, _ = await history.page("s", limit=9)
    assert [each.user_message for each in read] == [f"question {number}" for number in range(4)]


async def test_closing_writes_what_waits(database: Database) -> None:
    async with open_history(database) as history:
        waiting = [asyncio.create_task(history.add(turn(number))) for number in range(1500)]
        await asyncio.sleep(0)
    assert all(task.done() for task in waiting)
    ids = await asyncio.gather(*waiting)
    async with open_history(database) as again:
        read, _ = await again.page("s", limit=2000)
    assert [each.id for each in read] == ids
    with pytest.raises(StoreUnavailable, match="closed"):
        await history.add(turn())


WRITER = """
import asyncio, sys
from pathlib import Path
import everturn.checkpoints.sql.database
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.group_commit import GroupCommit, open_group_commit
from everturn.checkpoints.sql.history import FinishedTurn, turn_finished
from everturn.checkpoints.sql.history import History as Readings

async def main(url):
    async with open_database(url, Path()) as database, open_group_commit(database) as rows:
        for number in range(10_000):
            said = FinishedTurn(
                session_id="s", user_message=str(number), assistant_message="", model_used="m"
            )
            print(number, *await rows.write(turn_finished(said)), flush=True)

asyncio.run(main(sys.argv[1]))
"""


async def test_an_acknowledged_turn_survives_kill_9(url: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged = [(await process.stdout.readline()).split() for _ in range(25)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [line.split() for line in (await process.stdout.read()).splitlines()]
    assert await process.wait() == -signal.SIGKILL
    async with open_database(url, tmp_path) as database, open_history(database) as history:
        read, _ = await history.page("s", limit=10_000)
    kept = {(each.user_message, each.id) for each in read}
    assert {(number.decode(), int(row_id)) for number, row_id in acknowledged} <= kept
    assert len(kept) <= len(acknowledged) + 1


async def test_a_database_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    async with (
        postgres_database() as url,
        open_database(url.render_as_string(hide_password=False), tmp_path) as database,
        open_history(database) as history,
    ):
        await history.add(turn(1))
        await in_postgres(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false")
        await in_postgres(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{url.database}'"
        )
        results = await asyncio.gather(
            *(history.add(turn(number)) for number in range(2, 5)),
            history.exists("s"),
            return_exceptions=True,
        )
        assert [type(each) for each in results] == [StoreUnavailable] * 4
        assert len({id(each) for each in results}) == 4
        await in_postgres(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true")
        await history.add(turn(5))
        read, _ = await history.page("s", limit=9)
        assert [each.user_message for each in read] == ["question 1", "question 5"]


async def test_a_connection_that_breaks_during_a_commit(tmp_path: Path) -> None:
    async with (
        postgres_database() as url,
        open_database(url.render_as_string(hide_password=False), tmp_path) as database,
        open_group_commit(database) as rows,
    ):
        history = History(database, rows)
        async with writes_blocked(database):
            waiting = [rows.post(turn_finished(turn(number))) for number in range(3)]
            blocked = (
                "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                f"'{url.database}'"
            )

            async def writer_waits() -> bool:
                waits = text(f"SELECT count(*) {blocked}")
                return await database.read(lambda c: bool(c.scalar(waits)))

            await eventually(writer_waits)
            await in_postgres(f"SELECT pg_terminate_backend(pid) {blocked}")
            await eventually(writer_waits)  # again, by another connection
            assert not any(each.done() for each in waiting)
        await asyncio.gather(*waiting)
        assert len((await history.page("s", limit=9))[0]) == 3
