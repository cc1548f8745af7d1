"""How a thread stands, as its runs see it: found at their start, written down at their end."""

from collections.abc import Callable, Mapping
from typing import Any

from langgraph.types import StateSnapshot

from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.threads import ThreadTable, new_thread, status_changed
from everturn.server.turns.engine import Engine
from everturn.server.turns.places import interrupts_of

_FORGOTTEN = {"error": "RunFailed", "message": "It failed; the thread has gone on since."}


class Standing:
    """The rows of threads, for runs."""

    def __init__(self, table: ThreadTable, engine: Engine, jsonable: Callable[[Any], Any]) -> None:
        """Wire it up; `jsonable` makes plain JSON of what an interrupt asks."""
        self._table = table
        self._engine = engine
        self._jsonable = jsonable

    async def open(
        self,
        thread_id: str,
        assistant: Assistant,
        *,
        create: bool,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """See that a thread is there; False where it is not and shall not be made."""
        if await self._table.get(thread_id) is not None:
            return True
        if create:
            about = {**(metadata or {}), **_about(assistant)}
            await self._table.create(new_thread(thread_id, metadata=about))
        return create

    def begun(self, thread_id: str, assistant: Assistant) -> Row:
        """The row that says that a run is under way, and of which graph the thread is."""
        return status_changed(thread_id, "busy", metadata=_about(assistant))

    def failed(self, thread_id: str, error: Mapping[str, Any]) -> Row:
        """The row that says what a run failed with; it is not written yet."""
        return status_changed(thread_id, "error", error=error)

    def ended(self, thread_id: str, state: StateSnapshot | None) -> Row:
        """The row that says how the thread stands after a run that did not fail.

        `state` is needed where it may wait for something.
        """
        if state is None or not state.next:
            return status_changed(thread_id, "idle")
        waiting = self._jsonable(interrupts_of(state))
        return status_changed(thread_id, "interrupted", interrupts=waiting)

    async def error(self, thread_id: str) -> Mapping[str, Any]:
        """What the newest run that failed failed with, as far as the thread still knows."""
        thread = await self._table.get(thread_id)
        return (thread and thread.error) or _FORGOTTEN


def _about(assistant: Assistant) -> dict[str, str]:
    return {"graph_id": assistant.graph_id, "assistant_id": assistant.assistant_id}
