"""How runs find their assistant: from memory, and never older than it may be."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypedDict
from uuid import uuid4

import pytest
from langgraph.graph import START, StateGraph
from sqlalchemy import event

import everturn.server.resources.assistants
from everturn.checkpoints.sql.assistants import Assistant, AssistantTable, Changes
from everturn.checkpoints.sql.database import Database, open_database
from everturn.server.access.access import Everybody
from everturn.server.errors import AssistantNotFound, InvalidAssistant
from everturn.server.projects.graphs import Graphs
from everturn.server.resources.assistants import Assistants


class State(TypedDict, total=False):
    n: int


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(None, tmp_path) as opened:
        yield opened


def started(database: Database) -> Assistants:
    builder = StateGraph(State)
    builder.add_node("one", lambda state: {"n": 1})
    builder.add_edge(START, "one")
    return Assistants(AssistantTable(database), Graphs({"agent": builder.compile()}), Everybody())


@pytest.fixture
async def assistants(database: Database) -> Assistants:
    found = started(database)
    await found.begin()
    return found


def statements_of(database: Database) -> list[str]:
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(database.sync_engine, "before_cursor_execute", note)
    return seen


async def test_the_second_look_costs_nothing(assistants: Assistants, database: Database) -> None:
    first = await assistants.resolve("agent")
    seen = statements_of(database)
    assert await assistants.resolve("agent") is first
    assert await assistants.resolve(first.assistant_id.upper()) is first
    assert seen == []


async def test_a_start_writes_only_what_is_missing(
    assistants: Assistants, database: Database
) -> None:
    changed = await assistants.change("agent", Changes(name="mine"))
    again = started(database)
    await again.begin()
    assert await again.get("agent") == changed


async def test_what_this_process_writes_it_sees_at_once(assistants: Assistants) -> None:
    made = await assistants.create("agent", context={"a": 1})
    for number in range(3):
        assert (await assistants.resolve(made.assistant_id)).version == number + 1
        await assistants.change(made.assistant_id, Changes(context={"a": number}))
    await assistants.set_latest(made.assistant_id, 1)
    assert (await assistants.resolve(made.assistant_id)).context == {"a": 1}
    await assistants.delete(made.assistant_id)
    with pytest.raises(AssistantNotFound):
        await assistants.resolve(made.assistant_id)


async def test_what_another_process_writes_is_seen_soon(
    assistants: Assistants, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("everturn.server.resources.assistants.monotonic", lambda: now)
    other = started(database)
    made = await other.create("agent")
    assert await assistants.resolve(made.assistant_id) == made  # what is unknown is looked up
    await other.change(made.assistant_id, Changes(name="new"))
    assert await assistants.resolve(made.assistant_id) == made
    assert (await assistants.get(made.assistant_id)).name == "new"  # as it stands
    assert (await assistants.resolve(made.assistant_id)).name == "new"
    await other.delete(made.assistant_id)
    now += 1.0
    with pytest.raises(AssistantNotFound):
        await assistants.resolve(made.assistant_id)


async def test_a_look_that_a_write_overtakes_is_not_kept(
    assistants: Assistants, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await assistants.create("agent")
    await assistants.change(made.assistant_id, Changes(name="old"))  # forgets what was read
    reading, written = asyncio.Event(), asyncio.Event()
    get = AssistantTable.get

    async def slow(table: AssistantTable, assistant_id: str) -> Assistant | None:
        found = await get(table, assistant_id)
        reading.set()
        await written.wait()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(AssistantTable, "get", slow)
        look = asyncio.create_task(assistants.resolve(made.assistant_id))
        await reading.wait()
    await assistants.change(made.assistant_id, Changes(name="new"))
    written.set()
    assert (await look).name == "old"
    assert (await assistants.resolve(made.assistant_id)).name == "new"


async def test_memory_is_bounded(assistants: Assistants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everturn.server.resources.assistants, "_MAX_KEPT", 3)
    for _ in range(10):
        made = await assistants.create("agent")
        assert await assistants.resolve(made.assistant_id) == made
        assert len(assistants._read) <= 3


@pytest.mark.parametrize("name", ["", "nobody", "\0", "\ud800", "agent "])
async def test_what_names_no_assistant(assistants: Assistants, name: str) -> None:
    with pytest.raises(InvalidAssistant, match="agent"):
        await assistants.resolve(name)
    with pytest.raises(AssistantNotFound):
        await assistants.resolve(str(uuid4()))
