"""Group commits: the order of rows, and rows that cannot be committed for a while."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, select, text

from everturn.checkpoints.errors import StoreUnavailable, ValueRefused
from everturn.checkpoints.sql import runs as run_rows
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.group_commit import GroupCommit, Row, open_group_commit
from everturn.checkpoints.sql.history import FinishedTurn, turn_finished
from everturn.checkpoints.sql.runs import RunRow, RunRows
from everturn.checkpoints.sql.tables import chat_history, runs, threads
from everturn.checkpoints.sql.threads import ThreadTable, new_thread, status_changed
from tests.checkpoints.stores import in_database
from tests.waiting import PATIENCE

THREADS = ("a", "b", "c")
ASSISTANT = "00000000-0000-0000-0000-000000000000"


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Another program holds the file, as a backup or a browser of tables does."""
    with closing(sqlite3.connect(database.url.database or "", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Database, GroupCommit, RunRows]]:
    async with open_database(None, folder) as database, open_group_commit(database) as rows:
        yield database, rows, RunRows(database, rows, "me")


def a_run(run_id: str, thread_id: str = "a") -> RunRow:
    return RunRow(run_id=run_id, thread_id=thread_id, assistant_id=ASSISTANT)


def a_turn(run: RunRow) -> FinishedTurn:
    return FinishedTurn(
        session_id=run.thread_id,
        user_message=run.run_id,
        assistant_message="yes",
        model_used="none",
    )


# What callers do with a run, by name; each is one call.
Step = tuple[str, str, int]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from(("insert", "begin", "end", "fail", "delete", "release", "twice")),
        st.sampled_from(THREADS),
        st.integers(0, 2),
    ),
    max_size=25,
)


class World:
    """One database, and what callers do to it."""

    def __init__(self, database: Database, rows: GroupCommit, table: RunRows) -> None:
        self.database, self.rows, self.table = database, rows, table
        self.threads = ThreadTable(database)

    def do(self, name: str, thread_id: str, number: int) -> "asyncio.Future[list[Any]]":
        run = a_run(f"{thread_id}{number}", thread_id)
        busy, idle = status_changed(thread_id, "busy"), status_changed(thread_id, "idle")
        said = turn_finished(a_turn(run))
        match name:
            case "insert":
                made = self.threads.created(new_thread(thread_id, metadata={}))
                done = self.table.insert(run, made)
            case "begin":
                done = self.table.update(run, "running", busy)
            case "end":
                idle = status_changed(thread_id, "idle", metadata={f"of {number}": True})
                done = self.table.update(run, "success", idle, said)
            case "fail":
                failed = status_changed(thread_id, "error", error={"message": run.run_id})
                done = self.table.update(run, "error", failed)
            case "delete":
                done = self.table.delete(run.run_id, thread_id)
            case "release":
                done = self.table.release(run.run_id)
            case _:
                done = self.table.update(run, "running", busy, idle, said)
        return done

    async def outcome(self) -> Any:
        def work(c: Any) -> Any:
            about = select(runs.c.run_id, runs.c.status, runs.c.owner).order_by(runs.c.run_id)
            status = select(threads.c.thread_id, threads.c.status, threads.c.metadata)
            said = select(chat_history.c.session_id, chat_history.c.user_message)
            found = [
                [tuple(row) for row in c.execute(about)],
                [tuple(row) for row in c.execute(status.order_by(threads.c.thread_id))],
            ]
            of_each = said.order_by(chat_history.c.session_id, chat_history.c.id)
            return [*found, [tuple(row) for row in c.execute(of_each)]]

        return await self.database.read(work)

    async def clear(self) -> None:
        for table in (chat_history, runs, threads):
            await in_database(self.database, delete(table))


def test_a_group_comes_to_the_same_as_one_call_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_rows, "_INSERT_SECONDS", PATIENCE)  # the machine may be slow
    with asyncio.Runner() as runner:
        one, together = opened(tmp_path / "one"), opened(tmp_path / "together")
        plain = World(*runner.run(one.__aenter__()))
        grouped = World(*runner.run(together.__aenter__()))

        async def compare(asked: list[Step]) -> None:
            for world in (plain, grouped):
                await world.clear()
            expected = [
                (await asyncio.gather(plain.do(*step), return_exceptions=True))[0] for step in asked
            ]
            futures = [grouped.do(*step) for step in asked]
            answers = await asyncio.gather(*futures, return_exceptions=True)
            assert await grouped.outcome() == await plain.outcome()
            # What is refused one by one is refused in a group: a second insert of a run.
            assert [type(a) for a in answers] == [type(e) for e in expected]

        @settings(max_examples=150)
        @given(steps)
        def check(asked: list[Step]) -> None:
            runner.run(compare(asked))

        try:
            check()
        finally:
            for each in (one, together):
                runner.run(each.__aexit__(None, None, None))


async def test_another_runs_update_does_not_draw_an_update_before_its_insert(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (_, _, table):
        other, mine = a_run("other", "b"), a_run("mine")
        await table.insert(other)
        table.update(other, "running")
        table.insert(mine)
        await table.update(mine, "success")
        row = await table.get("mine")
    assert row is not None
    assert row.status == "success"


async def test_the_usual_group_is_one_statement_of_each_kind(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, _, table):
        many = [a_run(str(number), str(number)) for number in range(20)]
        ended = status_changed
        await asyncio.gather(*map(table.insert, many))
        executed: list[str] = []
        event.listen(
            database.sync_engine,
            "before_cursor_execute",
            lambda c, cursor, statement, *more: executed.append(statement.split()[0]),
        )
        ends = [
            table.update(run, "success", ended(run.thread_id, "idle"), turn_finished(a_turn(run)))
            for run in many
        ]
        await asyncio.gather(*ends)
        # SQLite is given a row of the history at a time, for the sake of its id.
        assert executed == ["BEGIN", "UPDATE", "UPDATE", *(["INSERT"] * len(many))]


async def test_rows_are_kept_while_the_database_is_locked(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, _, table):
        run = a_run("mine")
        await table.insert(run)
        with locked(database):
            end = table.update(run, "success", turn_finished(a_turn(run)))
            refused = table.insert(a_run("late"))
            with pytest.raises(StoreUnavailable, match=r"nothing for 1\.7 s"):
                await refused
            assert not end.done()
        await end
        row, late = await table.get("mine"), await table.get("late")
        turns = (await in_database(database, select(chat_history.c.user_message))).scalars().all()
    assert row is not None
    assert (row.status, late, turns) == ("success", None, ["mine"])


async def test_a_caller_that_leaves_takes_no_kept_row_along(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, _, table):
        run = a_run("mine")
        await table.insert(run)
        with locked(database):
            end = table.update(run, "success")
            await asyncio.sleep(0.1)
            end.cancel()
        await table.insert(a_run("next"))  # behind it
        row = await table.get("mine")
    assert row is not None
    assert row.status == "success"


async def test_what_is_committed_without_an_answer_is_not_written_twice(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, _, table):
        run, breaks = a_run("mine"), [1, 1]

        def lose_the_answer(connection: Any) -> None:
            """Commit, and let the connection break before it says so: once for each commit."""
            connection.connection.dbapi_connection.commit()
            if breaks and breaks.pop():
                raise sqlite3.OperationalError("disk I/O error")

        event.listen(database.sync_engine, "commit", lose_the_answer)
        await table.insert(run)
        await table.update(run, "success", turn_finished(a_turn(run)))
        turns = (await in_database(database, select(chat_history.c.user_message))).scalars().all()
    assert (turns, breaks) == (["mine"], [])


def _refuse(connection: Any) -> None:
    raise sqlite3.OperationalError("database or disk is full")


async def test_an_end_that_comes_late_is_not_written_where_another_has_taken_over(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (database, _, table):
        run = a_run("mine")
        await table.insert(run)
        event.listen(database.sync_engine, "begin", _refuse)
        end = table.update(run, "error", turn_finished(a_turn(run)))
        await asyncio.sleep(0.1)
        with closing(sqlite3.connect(database.url.database or "")) as other:
            other.execute("UPDATE runs SET owner = 'another'")
            other.commit()
        event.remove(database.sync_engine, "begin", _refuse)
        await end
        row = await table.get("mine")
        turns = (await in_database(database, select(chat_history.c.user_message))).all()
    assert row is not None
    assert (row.status, turns) == ("pending", [])


async def test_rows_that_no_one_can_write_do_not_hold_up_the_others(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, rows, table):
        impossible = rows.post(Row(text("INSERT INTO nowhere VALUES (1)")), of="nowhere")
        await asyncio.gather(*(table.insert(a_run(str(n), str(n))) for n in range(5)))
        assert not impossible.done()
        refused = rows.post(Row(text("INSERT INTO runs (run_id) VALUES (NULL)")), of="a")
        with pytest.raises(ValueRefused):
            await refused
        assert await table.get("4")
    with pytest.raises(StoreUnavailable, match="closed"):
        await impossible


async def test_pauses_grow_and_nothing_spins(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, _, table):
        tries: list[float] = []
        now = asyncio.get_running_loop().time

        def refuse(connection: Any) -> None:
            tries.append(now())
            _refuse(connection)

        run = a_run("mine")
        await table.insert(run)
        event.listen(database.sync_engine, "begin", refuse)
        end = table.update(run, "success")
        await asyncio.sleep(1.5)
        event.remove(database.sync_engine, "begin", refuse)
        await end
    assert 3 <= len(tries) <= 6


async def test_a_database_that_writes_others_rows_is_not_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everturn.checkpoints.sql.group_commit.MAX_BATCH", 1)
    async with opened(tmp_path) as (database, rows, table):
        write = database.write

        async def slowly(work: Any, **how: Any) -> Any:
            await asyncio.sleep(0.3)
            return await write(work, **how)

        monkeypatch.setattr(database, "write", slowly)
        asked = [a_run(f"r{number}", f"t{number}") for number in range(8)]
        # All together take longer than each may wait for a database that writes nothing.
        posted = [
            rows.post(Row(table._insert, _values(run)), of=run.thread_id, seconds=1.0)
            for run in asked
        ]
        await asyncio.gather(*posted)
        for run in asked:
            assert await table.get(run.run_id) is not None


def _values(run: RunRow) -> dict[str, Any]:
    return {name: getattr(run, name) for name in run_rows.COLUMNS}
