"""Sessions that have gone quiet are found by the time of their turns, whatever there was before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event, insert

from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.quiet import QuietSessions
from everturn.checkpoints.sql.tables import chat_history
from tests.checkpoints.stores import in_database


async def say(database: Database, session_id: str, minutes_ago: float) -> None:
    row = {
        "session_id": session_id,
        "user_message": "hello",
        "assistant_message": "Hello!",
        "tools_used": [],
        "model_used": "m",
        "tokens_used": 1,
        "cost": 0.0,
        "created_at": datetime.now(UTC) - timedelta(minutes=minutes_ago),
        "metadata": {},
    }
    await in_database(database, insert(chat_history).values(row))


async def test_those_come_first_that_are_quiet_longest(database: Database) -> None:
    for session_id, minutes_ago in (
        *(("older", 100), ("quiet", 50), ("talking", 50), ("quieter", 70)),
        *(("quiet", 30), ("talking", 1)),
    ):
        await say(database, session_id, minutes_ago)
    sessions = QuietSessions(database)
    found = await sessions.find(quiet=600, since=90 * 60, limit=5)
    assert found == [("quieter", 4), ("quiet", 5)]
    assert await sessions.find(quiet=600, since=90 * 60, limit=5, offset=1) == [("quiet", 5)]


async def test_sqlite_reads_the_turns_of_that_time_alone(tmp_path: Path) -> None:
    async with open_database(None, tmp_path) as database:
        asked: list[tuple[str, Any]] = []
        event.listen(
            database.sync_engine,
            "before_cursor_execute",
            lambda _, cursor, statement, values, *more: asked.append((statement, values)),
        )
        await QuietSessions(database).find(quiet=1, since=10, limit=5)
        statement, values = asked[-1]
        plan = await database.read(
            lambda c: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
        )
    steps = [str(step[-1]) for step in plan if "chat_history" in str(step[-1])]
    assert steps == [
        "SEARCH chat_history USING COVERING INDEX ix_chat_history_created_at (created_at>?)"
    ]
