"""Rows go when their time is over, and those that are needed stay."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.retention import Retention
from everturn.checkpoints.sql.tables import chat_history, runs, threads, webhooks
from tests.checkpoints.stores import in_database

NOW = datetime.now(UTC)
BEFORE = NOW - timedelta(days=10)
OLD, NEW = BEFORE - timedelta(days=1), BEFORE + timedelta(days=1)


def run_id(moment: datetime, number: int) -> str:
    digits = f"{round(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-{number:012x}"


async def add_run(database: Database, number: int, at: datetime, **values: Any) -> str:
    row = {
        "run_id": run_id(at, number),
        "thread_id": "t",
        "assistant_id": "a",
        "status": "success",
        "metadata": {},
        "kwargs": {},
        "multitask_strategy": "enqueue",
        "created_at": at,
        "updated_at": at,
        **values,
    }
    await in_database(database, insert(runs).values(row))
    return str(row["run_id"])


async def ids(database: Database, column: Any) -> list[Any]:
    found = await in_database(database, select(column).order_by(column))
    return list(found.scalars())


async def test_old_runs_go_but_for_the_newest_and_those_that_have_not_ended(
    database: Database,
) -> None:
    many = [await add_run(database, n, OLD) for n in range(1200)]
    stays = [
        await add_run(database, 5000, OLD, thread_id="u"),  # the newest of its thread
        await add_run(database, 5001, OLD, status="pending"),
        await add_run(database, 5002, OLD, updated_at=NEW),  # it was delayed
        await add_run(database, 5003, NEW),
    ]
    assert await Retention(database).runs(BEFORE) == len(many)
    assert await ids(database, runs.c.run_id) == sorted(stays)
    assert await Retention(database).runs(BEFORE) == 0


async def test_old_turns_go_and_ended_sessions_with_them(database: Database) -> None:
    for session, finished in (("gone", OLD), ("stays", OLD), ("stays", NEW), ("lives", OLD)):
        turn = {
            "session_id": session,
            "user_message": "a",
            "assistant_message": "b",
            "tools_used": [],
            "model_used": "m",
            "tokens_used": 1,
            "created_at": finished,
            "metadata": {},
        }
        await in_database(database, insert(chat_history).values(turn))
    for session, kind in (("gone", "ended"), ("stays", "ended"), ("lives", "session")):
        row: dict[str, Any] = {
            "thread_id": session,
            "kind": kind,
            "status": "idle",
            **{name: {} for name in ("metadata", "config", "interrupts")},
            **dict.fromkeys(("created_at", "updated_at", "state_updated_at", "expires_at"), OLD),
        }
        await in_database(database, insert(threads).values(row))
    assert await Retention(database).history(BEFORE) == 4
    assert await ids(database, chat_history.c.session_id) == ["stays"]
    assert await ids(database, threads.c.thread_id) == ["lives", "stays"]


async def test_webhooks_go_by_what_became_of_them(database: Database) -> None:
    for status in ("pending", "delivered", "dead"):
        for name, at in (("old", OLD), ("new", NEW)):
            row: dict[str, Any] = {
                "run_id": f"{status} {name}",
                "thread_id": "t",
                "status": status,
                "url": "https://example.org",
                "metadata": {},
                "attempts": 1,
                "created_at": at,
                "updated_at": at,
            }
            await in_database(database, insert(webhooks).values(row))
    kept = Retention(database)
    assert await kept.webhooks("delivered", BEFORE) == 1
    assert await kept.webhooks("dead", BEFORE) == 1
    left = await ids(database, webhooks.c.run_id)
    assert left == ["dead new", "delivered new", "pending new", "pending old"]
