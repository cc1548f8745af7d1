"""Rows of runs, on SQLite and PostgreSQL: who may take which, whatever dies, and in which order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.group_commit import GroupCommit, open_group_commit
from everturn.checkpoints.sql.runs import Claimed, RunRow, RunRows
from everturn.checkpoints.sql.tables import runs
from tests.checkpoints.stores import in_database, postgres_database

T = TypeVar("T")

PROCESSES = ("a", "b", "c")
THREADS = ("t1", "t2", "t3")


@pytest.fixture
async def commits(database: Database) -> AsyncIterator[GroupCommit]:
    async with open_group_commit(database) as rows:
        yield rows


@pytest.fixture
def a(database: Database, commits: GroupCommit) -> RunRows:
    return RunRows(database, commits, "a")


@pytest.fixture
def b(database: Database, commits: GroupCommit) -> RunRows:
    return RunRows(database, commits, "b")


def row(run_id: str, thread_id: str = "t", **kwargs: Any) -> RunRow:
    return RunRow(run_id=run_id, thread_id=thread_id, assistant_id="x", kwargs=kwargs)


def ids(claimed: list[Claimed]) -> list[str]:
    return [each.row.run_id for each in claimed]


async def test_the_place_of_a_deleted_run_is_not_given_again(a: RunRows) -> None:
    """Clients know events by it: they would take those of the next run for old ones."""
    places = list[int]()
    for name in ("kept", "gone", "next"):
        await a.insert(row(name))
        places.append(await a.place(name) or 0)
        if name == "gone":
            await a.delete(name, "t")
    assert places == sorted(set(places))


async def test_ids_of_clocks_apart_say_nothing_of_the_order(a: RunRows, b: RunRows) -> None:
    """The clock of `b` is behind: what it writes later has smaller ids and older dates."""
    past = datetime.now(UTC) - timedelta(seconds=2)
    for number, (rows, name) in enumerate([(a, "z"), (b, "a"), (a, "y"), (b, "b")]):
        one = row(name)
        one.created_at = past if rows is b else datetime.now(UTC)
        await rows.insert(one, waits=number > 0)
    assert await a.ids_from("t", "") == ["z", "a", "y", "b"]
    assert await a.ids_from("t", "a") == ["a", "y", "b"]
    assert [each.run_id for each in await a.of_thread("t")] == ["b", "y", "a", "z"]
    assert [each.run_id for each in await a.before("y", "t")] == ["z", "a"]
    order = []
    await a.update(row("z"), "success")
    for rows in (b, a, b):
        taken = await rows.claim(5)
        order += ids(taken)
        await rows.update(taken[0].row, "success")
    assert order == ["a", "y", "b"]


async def test_a_thread_with_many_runs_holds_up_no_other(a: RunRows) -> None:
    await asyncio.gather(*(a.insert(row(f"m{n}", "many"), waits=True) for n in range(50)))
    await asyncio.gather(*(a.insert(row(f"f{n}", f"t{n}"), waits=True) for n in range(3)))
    order = []
    for _ in range(6):
        (taken,) = await a.claim(1)
        order.append(taken.row.run_id)
        await a.update(taken.row, "success")
    assert order == ["m0", "f0", "f1", "f2", "m1", "m2"]


async def test_callers_that_have_no_place_are_left_out(a: RunRows) -> None:
    callers = {"one": "ada", "two": "bob", "three": "ada", "four": None}
    for name, who in callers.items():
        await a.insert(row(name, name), caller={"identity": who} if who else None, waits=True)
    assert ids(await a.claim(10, without=["ada", "o'brien"])) == ["two", "four"]
    assert ids(await a.claim(10, without=["bob"])) == ["one", "three"]


async def test_what_was_taken_and_not_begun_is_taken_as_if_for_the_first_time(a: RunRows) -> None:
    await a.insert(row("one"), waits=True)
    for _ in range(3):
        (taken,) = await a.claim(1)
        assert taken.attempt == 1
        await a.release("one", begun=False)
    await a.claim(1)
    await a.release("one")
    assert [each.attempt for each in await a.claim(1)] == [2]


async def test_what_never_began_dies_no_death(a: RunRows, b: RunRows) -> None:
    await a.insert(row("delayed", after_seconds=3600), waits=True)
    await a.insert(row("queued", "u"))
    await a.insert(row("begun", "v"))
    await a.update(row("begun", "v"), "running")
    for _ in range(6):  # `a` has died
        await b.disown(["b"])
        await a.claim(10)
        assert await a.begin("begun")
    await b.disown(["b"])
    assert {each.row.run_id: each.deaths for each in await b.claim(10)} == {"queued": 0, "begun": 7}
    assert (await b.waiting()).next_due is not None
    await b.survived("begun")
    await b.release("begun")
    assert [(each.deaths, each.attempt) for each in await b.claim(10)] == [(6, 9)]


async def test_who_was_away_finds_its_runs_taken(
    a: RunRows, b: RunRows, database: Database
) -> None:
    await a.insert(row("one"))
    assert await b.disown(["b"]) == ["a"]
    assert not await b.disown(["b"])
    (taken,) = await b.claim(1)
    assert not await a.begin("one")
    assert await b.begin("one")
    await b.update(taken.row, "success")
    await a.update(row("one"), "running")  # what was on its way when it was stopped
    found = await in_database(database, select(runs.c.status))
    assert found.scalars().all() == ["success"]
    assert not await b.claim(1)


async def test_a_run_that_comes_meanwhile_is_known(a: RunRows, database: Database) -> None:
    """Its row is being written when it is looked for those that are not known."""
    known: set[str] = set()
    written = a.insert(row("new"))
    for _ in range(3):  # until it is on its way
        await asyncio.sleep(0)
    releasing = asyncio.create_task(a.release_others(lambda: known))
    await asyncio.sleep(0)
    known.add("new")
    await asyncio.gather(written, releasing)
    found = await in_database(database, select(runs.c.owner))
    assert found.scalars().all() == ["a"]


async def test_an_answer_that_was_lost_leaves_no_run_behind(a: RunRows) -> None:
    await a.insert(row("known"))
    await a.insert(row("lost", "u"), waits=True)
    assert ids(await a.claim(1)) == ["lost"]  # and the answer never came
    assert await a.release_others(lambda: {"known"}) == 1
    assert ids(await a.claim(1)) == ["lost"]


async def test_each_run_goes_to_one_of_many(a: RunRows, b: RunRows) -> None:
    await asyncio.gather(*(a.insert(row(f"r{n}", f"t{n}"), waits=True) for n in range(40)))
    taken = await asyncio.gather(*(rows.claim(3) for rows in (a, b) * 10))
    all_ids = [each for some in taken for each in ids(some)]
    all_ids += ids(await a.claim(100))
    assert sorted(all_ids) == sorted(f"r{n}" for n in range(40))


@dataclass
class Known:
    """A run as the model knows it."""

    number: int
    thread: str
    owner: str | None
    status: str = "pending"
    deaths: int = 0


class Table(RuleBasedStateMachine):
    """Runs are posted, taken, begun and ended by processes that die, against a model of them."""

    database_url: str | None

    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.known: dict[str, Known] = {}
        self.do(self.open())

    async def open(self) -> None:
        folder = self.stack.enter_context(TemporaryDirectory())
        database = await self.stack.enter_async_context(
            open_database(self.database_url, Path(folder))
        )
        await in_database(database, delete(runs))
        commits = await self.stack.enter_async_context(open_group_commit(database))
        self.rows = {name: RunRows(database, commits, name) for name in PROCESSES}
        self.database = database

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.do(self.stack.aclose())
            self.loop.close()

    def of(self, thread: str) -> Iterator[Known]:
        return (each for each in self.known.values() if each.thread == thread)

    def may_be_taken(self) -> list[str]:
        """The first of each thread on which nothing is under way."""
        found = []
        for thread in THREADS:
            unfinished = [r for r in self.of(thread) if r.status in {"pending", "running"}]
            if any(r.status == "running" for r in unfinished):
                continue
            first = min(unfinished, key=lambda r: r.number, default=None)
            if first and first.owner is None:
                found.append(f"r{first.number}")
        return found

    @rule(process=st.sampled_from(PROCESSES), thread=st.sampled_from(THREADS), waits=st.booleans())
    def post(self, process: str, thread: str, waits: bool) -> None:
        number = len(self.known)
        self.known[f"r{number}"] = Known(number, thread, None if waits else process)
        run = row(f"r{number}", thread)
        self.do(_done(lambda: self.rows[process].insert(run, waits=waits)))

    @rule(process=st.sampled_from(PROCESSES), limit=st.integers(1, 3))
    def claim(self, process: str, limit: int) -> None:
        allowed = self.may_be_taken()
        taken = self.do(self.rows[process].claim(limit))
        assert set(ids(taken)) <= set(allowed)
        assert len(taken) == min(limit, len(allowed))
        for each in taken:
            known = self.known[each.row.run_id]
            assert each.deaths == known.deaths
            known.owner = process

    @precondition(lambda self: self.known)
    @rule(data=st.data(), process=st.sampled_from(PROCESSES))
    def begin(self, data: st.DataObject, process: str) -> None:
        pending = [k for k, r in self.known.items() if r.status == "pending"]
        if not pending:
            return
        run_id = data.draw(st.sampled_from(pending))
        known = self.known[run_id]
        assert self.do(self.rows[process].begin(run_id)) is (known.owner == process)
        if known.owner == process:
            known.status = "running"

    @precondition(lambda self: self.known)
    @rule(data=st.data(), process=st.sampled_from(PROCESSES))
    def end(self, data: st.DataObject, process: str) -> None:
        """Also by one that has lost it meanwhile: nothing comes of it."""
        run_id = data.draw(st.sampled_from(sorted(self.known)))
        known = self.known[run_id]
        if known.status == "success":
            return
        run = row(run_id, known.thread)
        self.do(_done(lambda: self.rows[process].update(run, "success")))
        if known.owner == process:
            known.status = "success"

    @rule(dead=st.sampled_from(PROCESSES), finds=st.sampled_from(PROCESSES))
    def die(self, dead: str, finds: str) -> None:
        alive = [name for name in PROCESSES if name != dead]
        self.do(self.rows[finds].disown(alive))
        for known in self.known.values():
            if known.owner == dead and known.status != "success":
                known.deaths += known.status == "running"
                known.owner, known.status = None, "pending"

    @precondition(lambda self: self.known)
    @rule(data=st.data(), process=st.sampled_from(PROCESSES))
    def release(self, data: st.DataObject, process: str) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.known)))
        self.do(_done(lambda: self.rows[process].release(run_id)))
        known = self.known[run_id]
        if known.owner == process and known.status != "success":
            known.owner, known.status = None, "pending"

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        if not hasattr(self, "database"):
            return
        columns = (runs.c.run_id, runs.c.owner, runs.c.status, runs.c.deaths)
        found = self.do(in_database(self.database, select(*columns))).all()
        assert {one[0]: one[1:] for one in (tuple(each) for each in found)} == {
            run_id: (r.owner, r.status, r.deaths) for run_id, r in self.known.items()
        }


async def _done(post: Callable[[], asyncio.Future[Any]]) -> None:
    await post()


def test_runs_that_are_posted_taken_ended_and_lost_on_sqlite() -> None:
    class OnSqlite(Table):
        database_url = None

    run_state_machine_as_test(OnSqlite, settings=settings(max_examples=25, stateful_step_count=30))


async def test_runs_that_are_posted_taken_ended_and_lost_on_postgres() -> None:
    async with postgres_database() as url:

        class OnPostgres(Table):
            database_url = url.render_as_string(hide_password=False)

        await asyncio.to_thread(
            run_state_machine_as_test,
            OnPostgres,
            settings=settings(max_examples=15, stateful_step_count=30),
        )
