"""Assistants and threads as far as runs need them."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from checkpoints.group_commit import Row
from checkpoints.tables import threads
from server.runs.errors import AssistantNotFound
from server.runs.graphs import Graphs
from server.runs.outcome import Outcome
from server.runs.runs import Assistant

NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
_STATUS = (
    update(threads)
    .where(threads.c.thread_id == bindparam("this"))
    .values(status=bindparam("status"), updated_at=bindparam("updated_at"))
)


class SystemAssistants:
    def __init__(self, graphs: Graphs) -> None:
        self._known: dict[str, Assistant] = {}
        for name in graphs.names:
            assistant = Assistant(
                str(uuid5(NAMESPACE, name)), name, metadata={"created_by": "system"}
            )
            self._known[name] = self._known[assistant.assistant_id] = assistant

    async def resolve(self, name_or_id: str) -> Assistant:
        try:
            return self._known[name_or_id]
        except KeyError:
            raise AssistantNotFound(f"Invalid assistant: {name_or_id!r}.") from None


class SqlThreads:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def open(self, thread_id: str, assistant: Assistant, *, create: bool) -> bool:
        async with self._engine.connect() as connection:
            found = await connection.scalar(
                select(threads.c.thread_id).where(threads.c.thread_id == thread_id)
            )
        if found or not create:
            return bool(found)
        now = datetime.now(UTC)
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(threads).values(
                    thread_id=thread_id,
                    status="idle",
                    metadata={"graph_id": assistant.graph_id},
                    config={},
                    interrupts={},
                    created_at=now,
                    updated_at=now,
                    state_updated_at=now,
                )
            )
        return True

    def begun(self, thread_id: str) -> Row:
        return self._row(thread_id, "busy")

    def ended(self, thread_id: str, outcome: Outcome | None, error: Exception | None) -> Row:
        waits = outcome is not None and bool(outcome.interrupts)
        return self._row(thread_id, "error" if error else "interrupted" if waits else "idle")

    def _row(self, thread_id: str, status: str) -> Row:
        return Row(_STATUS, {"this": thread_id, "status": status, "updated_at": datetime.now(UTC)})
