"""Rows of assistants and their versions, on SQLite and PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, text

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.sql.assistants import Assistant, AssistantTable, Changes, Filter
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.tables import assistant_versions, crons
from tests.checkpoints.stores import in_database


@pytest.fixture
def table(database: Database) -> AssistantTable:
    return AssistantTable(database)


def new(**values: Any) -> Assistant:
    now = datetime.now(UTC)
    given = {"assistant_id": str(uuid4()), "graph_id": "agent", "name": "Untitled", **values}
    return Assistant(**{"created_at": now, "updated_at": now, **given})


async def made(table: AssistantTable, **values: Any) -> Assistant:
    assistant = new(**values)
    assert await table.create(assistant) == 1
    return assistant


async def test_an_assistant_comes_back_as_it_was(table: AssistantTable) -> None:
    assistant = await made(
        table,
        name="비서 🎈 'one' %",
        description="",
        config={"recursion_limit": 7, "configurable": {"a": [1, None]}},
        context={"a": [1, None]},
        metadata={"deep": [{"a": None}, 2**64 - 1, -(2**63), 1e300, 0.1]},
    )
    assert await table.get(assistant.assistant_id) == assistant
    (version,) = await table.versions(assistant.assistant_id, limit=10)
    assert (version.version, version.name, version.context) == (1, assistant.name, {"a": [1, None]})
    assert version.created_at == assistant.created_at
    assert await table.get(str(uuid4())) is None


async def test_characters_that_no_database_stores(table: AssistantTable) -> None:
    assistant = await made(table, name="a\0b", description="\ud800", metadata={"\0": "\0"})
    read = await table.get(assistant.assistant_id)
    assert read is not None
    assert (read.name, read.description) == ("a\ufffdb", "\ufffd")
    assert read.metadata == {"\ufffd": "\ufffd"}
    assert await table.count(Filter(name="A\0B")) == 1
    assert await table.get("\0") is None


async def test_ids_that_are_taken_stay_as_they_are(table: AssistantTable) -> None:
    first = await made(table, name="first")
    again, other = replace(first, name="second"), new()
    assert await table.create(again, other) == 1
    assert await table.get(first.assistant_id) == first
    assert len(await table.versions(first.assistant_id, limit=10)) == 1
    assert len(await table.versions(other.assistant_id, limit=10)) == 1


async def test_of_many_who_make_the_same_at_once_one_does(table: AssistantTable) -> None:
    wanted = [new(name=str(number)) for number in range(3)]
    orders = [wanted, wanted[::-1], wanted[1:] + wanted[:1], wanted]
    assert sum(await asyncio.gather(*(table.create(*each) for each in orders))) == 3


async def test_a_change_is_a_new_version(table: AssistantTable) -> None:
    first = await made(table, metadata={"a": {"x": 1}, "b": 2}, context={"n": 1})
    changes = Changes(name="named", metadata={"a": {"y": 2}, "c": None})
    changed = await table.change(first.assistant_id, changes)
    assert changed is not None
    assert changed == await table.get(first.assistant_id)
    assert (changed.version, changed.name, changed.context) == (2, "named", {"n": 1})
    assert changed.metadata == {"a": {"y": 2}, "b": 2, "c": None}
    assert changed.created_at == first.created_at < changed.updated_at
    second, oldest = await table.versions(first.assistant_id, limit=10)
    assert (second.version, second.metadata) == (2, changed.metadata)
    assert second.created_at == changed.updated_at
    assert (oldest.version, oldest.name, oldest.metadata) == (1, "Untitled", first.metadata)
    again = await table.change(first.assistant_id, Changes())
    assert again is not None
    assert (again.version, again.name) == (3, "named")
    assert await table.change(str(uuid4()), Changes(name="x")) is None


async def test_of_many_changes_at_once_none_is_lost(table: AssistantTable) -> None:
    assistant = await made(table)
    await asyncio.gather(
        *(
            table.change(assistant.assistant_id, Changes(metadata={str(number): number}))
            for number in range(12)
        )
    )
    read = await table.get(assistant.assistant_id)
    assert read is not None
    assert read.version == 13
    assert read.metadata == {str(number): number for number in range(12)}
    versions = await table.versions(assistant.assistant_id, limit=100)
    assert [each.version for each in versions] == list(range(13, 0, -1))
    assert [len(each.metadata) for each in versions] == list(range(12, -1, -1))


async def test_an_older_version_is_made_the_latest(table: AssistantTable) -> None:
    first = await made(table, metadata={"a": 1})
    changes = Changes(graph_id="chat", name="two", description="d", config={"tags": ["t"]})
    await table.change(first.assistant_id, changes)
    back = await table.set_latest(first.assistant_id, 1)
    assert back is not None
    assert back == replace(first, updated_at=back.updated_at)
    assert back.updated_at > first.updated_at
    assert len(await table.versions(first.assistant_id, limit=10)) == 2
    next_one = await table.change(first.assistant_id, Changes(name="three"))
    assert next_one is not None
    assert (next_one.version, next_one.graph_id) == (3, "agent")


@pytest.mark.parametrize("version", [0, -1, 2, 2**31, 10**30])
async def test_versions_that_are_not_there(table: AssistantTable, version: int) -> None:
    assistant = await made(table)
    assert await table.set_latest(assistant.assistant_id, version) is None
    assert await table.set_latest(str(uuid4()), version) is None
    assert await table.get(assistant.assistant_id) == assistant


async def test_pages_of_versions(table: AssistantTable) -> None:
    assistant = await made(table)
    for number in range(4):
        await table.change(assistant.assistant_id, Changes(metadata={"even": number % 2 == 0}))

    async def versions(**page: Any) -> list[int]:
        return [each.version for each in await table.versions(assistant.assistant_id, **page)]

    assert await versions(limit=2) == [5, 4]
    assert await versions(limit=2, offset=2) == [3, 2]
    assert await versions(limit=2, offset=9) == []
    assert await versions(limit=9, metadata={"even": True}) == [4, 2]


async def test_a_deleted_assistant_takes_versions_and_crons_along(
    table: AssistantTable, database: Database
) -> None:
    gone, stays = await made(table), await made(table)
    now = datetime.now(UTC)
    rows = [
        {
            "cron_id": str(uuid4()),
            "assistant_id": each.assistant_id,
            "schedule": "* * * * *",
            "payload": {},
            "metadata": {},
            "enabled": True,
            "created_at": now,
            "updated_at": now,
        }
        for each in (gone, stays)
    ]
    await database.write(lambda c: c.execute(insert(crons), rows))
    assert await table.delete(gone.assistant_id)
    assert not await table.delete(gone.assistant_id)
    assert await table.get(gone.assistant_id) is None
    assert await table.get(stays.assistant_id) == stays
    left = await database.read(lambda c: c.scalars(select(crons.c.assistant_id)).all())
    assert left == [stays.assistant_id]
    counted = select(func.count()).select_from(assistant_versions)
    assert await database.read(lambda c: c.scalar(counted)) == 1


async def test_search_by_graph_name_and_metadata(table: AssistantTable) -> None:
    ada = await made(table, name="Ärzte 50%_a", metadata={"user": {"id": 1, "x": 2}, "l": [1, 2]})
    bob = await made(table, name="plain", graph_id="chat", metadata={"user": {"id": 2}})

    async def ids(**wanted: Any) -> list[str]:
        found = await table.search(Filter(**wanted), limit=10)
        assert await table.count(Filter(**wanted)) == len(found)
        return [each.assistant_id for each in found]

    assert await ids() == [bob.assistant_id, ada.assistant_id]
    assert await ids(graph_id="chat") == [bob.assistant_id]
    assert await ids(name="ärz") == await ids(name="ÄRZTE") == [ada.assistant_id]
    assert await ids(name="%_") == await ids(name="50%") == [ada.assistant_id]
    assert await ids(name="p_ain") == await ids(name="50_") == await ids(name="/") == []
    assert await ids(metadata={"user": {"id": 1}}) == [ada.assistant_id]
    assert await ids(metadata={"l": [2]}) == [ada.assistant_id]
    assert await ids(metadata={"user": {"id": 2}}, graph_id="agent") == []


async def test_every_order(table: AssistantTable) -> None:
    now = datetime.now(UTC)
    for number, name in enumerate(["b", "A", "c", "B"]):
        moment = now + timedelta(seconds=number)
        await made(
            table,
            assistant_id=f"0000000{3 - number}-0000-0000-0000-000000000000",
            name=name,
            graph_id=f"g{number // 2}",
            created_at=moment,
            updated_at=now - timedelta(seconds=number),
        )

    async def names(sort_by: Any, sort_order: Any = "asc") -> str:
        found = await table.search(Filter(), limit=9, sort_by=sort_by, sort_order=sort_order)
        return "".join(each.name for each in found)

    assert await names("created_at") == "bAcB"
    assert await names("created_at", "desc") == "BcAb"
    assert await names("updated_at") == "BcAb"
    assert await names("assistant_id") == "BcAb"
    assert await names("name") == "ABbc"
    assert await names("name", "desc") == "cbBA"
    assert await names("graph_id") == "AbBc"
    found = await table.search(Filter(), limit=2, offset=1, sort_by="name", sort_order="asc")
    assert [each.name for each in found] == ["B", "b"]


async def test_a_database_that_is_gone(tmp_path: Path) -> None:
    async with open_database(None, tmp_path) as database:
        table = AssistantTable(database)
        for name in ("assistant_versions", "assistants"):
            await in_database(database, text(f"DROP TABLE {name}"))
        with pytest.raises(StoreUnavailable):
            await table.get("x")
        with pytest.raises(StoreUnavailable):
            await table.create(new())
