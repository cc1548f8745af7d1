"""What was made by nobody is given an owner, in both databases, and nothing else is."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from everturn.checkpoints.sql.adoption import Adoption
from everturn.checkpoints.sql.assistants import Assistant, AssistantTable
from everturn.checkpoints.sql.crons import Cron, CronTable
from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.history import History
from everturn.checkpoints.sql.store import Meaning, open_store
from everturn.checkpoints.sql.tables import chat_history, runs, webhooks
from everturn.checkpoints.sql.threads import Filter, ThreadTable, new_session, new_thread
from tests.checkpoints.stores import in_database

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = {"owner": "ada"}
RUN: dict[str, Any] = {
    "assistant_id": "a",
    "metadata": {},
    "kwargs": {},
    "multitask_strategy": "enqueue",
    "created_at": NOW,
    "updated_at": NOW,
}


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [[float(text == f"t{number}") for number in range(5)] for text in texts]


MEANING = Meaning({"dims": 5, "embed": embed, "fields": ["text"]})


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_ROWS_AT_ONCE", "_ITEMS_AT_ONCE"):
        monkeypatch.setattr(f"everturn.checkpoints.sql.adoption.{name}", 2)


async def adopt(database: Database) -> None:
    await Adoption(database).adopt("ada", "owner:ada", "owner:")


async def test_threads_and_sessions(database: Database) -> None:
    table = ThreadTable(database)
    await table.create(new_thread("bare"))
    await table.create(new_thread("said", metadata={"more": [1], "owner": None}))
    await table.create(new_thread("bobs", metadata={"owner": "bob"}))
    await table.create(new_session("chat", {"c": 1}, lifetime=60))
    for _ in range(2):  # at each start
        await adopt(database)
    found = {each.thread_id: each.metadata for each in await table.search(Filter(), limit=9)}
    assert found == {
        "bare": OWNER,
        "said": {"more": [1], **OWNER},
        "bobs": {"owner": "bob"},
        "chat": {"context": {"c": 1}, **OWNER},
    }


async def test_sessions_that_have_left_their_history_alone(database: Database) -> None:
    history, table = History(database), ThreadTable(database)
    for session, minute in (("alone", 1), ("alone", 2), ("bobs", 3)):
        said = {"user_message": "q", "assistant_message": "a", "tools_used": [], "metadata": {}}
        about = {"model_used": "m", "tokens_used": 1, "cost": None}
        moment = NOW.replace(minute=minute)
        row = {"session_id": session, **said, **about, "created_at": moment}
        await in_database(database, chat_history.insert().values(row))
    bobs = new_session("bobs", {}, lifetime=60)
    await table.create(replace(bobs, metadata={"owner": "bob"}))
    for _ in range(2):
        await adopt(database)
    alone, others = await table.get("alone"), await table.get("bobs")
    assert alone is not None
    assert (alone.kind, alone.metadata, alone.ttl) == ("ended", OWNER, None)
    assert (alone.created_at, alone.updated_at) == (NOW.replace(minute=1), NOW.replace(minute=2))
    assert others is not None
    assert others.metadata == {"owner": "bob"}
    assert (await history.totals(["alone"]))["alone"].turns == 2


async def test_assistants_but_not_those_of_graphs(database: Database) -> None:
    table = AssistantTable(database)
    about: Any = {"graph_id": "g", "name": "n", "created_at": NOW, "updated_at": NOW}
    marks: dict[str, dict[str, Any]] = {"mine": {}, "graphs": {"created_by": "system"}}
    for name, metadata in marks.items():
        await table.create(Assistant(assistant_id=name, metadata=metadata, **about))
    await adopt(database)
    for name, metadata in {"mine": OWNER, "graphs": marks["graphs"]}.items():
        found = await table.get(name)
        assert found is not None
        assert found.metadata == metadata
        (version,) = await table.versions(name, metadata=None, limit=9, offset=0)
        assert version.metadata == metadata


async def test_crons_and_what_they_do(database: Database) -> None:
    table = CronTable(database)
    about: Any = {
        "assistant_id": "a",
        "schedule": "* * * * *",
        "created_at": NOW,
        "updated_at": NOW,
    }
    await table.create(Cron(cron_id="nobodys", metadata={"m": 1}, **about))
    bobs = {"identity": "bob"}
    await table.create(Cron(cron_id="bobs", caller=bobs, metadata={"owner": "bob"}, **about))
    await adopt(database)
    found = [await table.get(name) for name in ("nobodys", "bobs")]
    assert [(each.caller, each.metadata) for each in found if each] == [
        ({"identity": "ada"}, {"m": 1, **OWNER}),
        (bobs, {"owner": "bob"}),
    ]


async def test_runs_that_go_on(database: Database) -> None:
    for status in ("running", "success"):
        row = {**RUN, "run_id": status, "thread_id": status, "status": status}
        await in_database(database, runs.insert().values(row))
    await adopt(database)
    columns = select(runs.c.run_id, runs.c.metadata, runs.c.caller).order_by(runs.c.run_id)
    found = await in_database(database, columns)
    assert [tuple(row) for row in found] == [
        ("running", OWNER, {"identity": "ada"}),
        ("success", {}, None),
    ]


async def test_webhooks(database: Database) -> None:
    about = {"status": "dead", "url": "u", "attempts": 1, "created_at": NOW, "updated_at": NOW}
    row = {"run_id": "r", "thread_id": "t", "metadata": {"m": 1}, **about}
    await in_database(database, webhooks.insert().values(row))
    await adopt(database)
    found = await in_database(database, select(webhooks.c.metadata))
    assert found.scalars().all() == [{"m": 1, **OWNER}]


async def test_items_of_the_store_with_their_meaning(database: Database) -> None:
    async with open_store(database, meaning=MEANING) as store:
        for number in range(5):
            await store.aput(("a", "b"), str(number), {"text": f"t{number}"})
        for namespace in (("owner:bob", "a"), ("owner:", "a"), ("owner;",), ("ownes",), ("o",)):
            await store.aput(namespace, "k", {"text": "x"})
        await store.aput(("taken",), "k", {"text": "old"})
        await store.aput(("owner:ada", "taken"), "k", {"text": "new"})
        await asyncio.gather(*(adopt(database) for _ in range(3)))  # processes that start at once
        assert await store.alist_namespaces() == [
            ("owner:", "a"),
            ("owner:ada", "a", "b"),
            ("owner:ada", "o"),
            ("owner:ada", "owner;"),
            ("owner:ada", "ownes"),
            ("owner:ada", "taken"),
            ("owner:bob", "a"),
            ("taken",),
        ]
        found = await store.asearch(("owner:ada", "a"), query="t3")
        assert [item.key for item in found if item.score is not None][:1] == ["3"]
        assert len(found) == 5
        new = await store.aget(("owner:ada", "taken"), "k")
        assert new is not None
        assert new.value == {"text": "new"}
