"""The rows of threads, as their runs read them at their start and change them at their end."""

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from langgraph.types import StateSnapshot

from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.threads import Thread, ThreadTable, new_thread, status_changed
from everturn.server.runs.run import Run
from everturn.server.turns.memory import ThreadMemory
from everturn.server.turns.places import interrupts_of

_FORGOTTEN = {"error": "RunFailed", "message": "It failed; the thread has gone on since."}


class ThreadStatus:
    """What runs need of the table `threads`."""

    def __init__(
        self, table: ThreadTable, memory: ThreadMemory, jsonable: Callable[[Any], Any]
    ) -> None:
        """Wire it up; `jsonable` makes plain JSON of what an interrupt asks."""
        self._table = table
        self._memory = memory
        self._jsonable = jsonable

    async def get(self, thread_id: str, *, ended: bool = False) -> Thread | None:
        """Return the row of a thread; None where there is none.

        With `ended` also of a session that has ended.
        """
        thread = await self._table.get(thread_id)
        return thread if ended or not (thread and thread.has_expired) else None

    async def open(
        self, thread_id: str, assistant: Assistant, *, create: bool, metadata: Mapping[str, Any]
    ) -> Thread | None:
        """Return the row of a thread; one is made where there is none, if `create` says so."""
        thread = await self._table.get(thread_id)
        if thread and thread.has_expired:
            thread = None
            if create:  # its sweep would come too late
                await self._memory.forget(thread_id)
                await self._table.delete(thread_id)
        if thread is None and create:
            thread = new_thread(thread_id, metadata={**metadata, **_about(assistant)})
            await self._table.create(thread)
        return thread

    def created(self, thread: Thread) -> Row:
        """The row of a new thread."""
        return self._table.created(thread)

    def busy(self, run: Run) -> Row:
        """The change that says that a run is under way, and which one."""
        return status_changed(run.thread_id, "busy", run_id=run.row.run_id, **_of(run))

    def failed(self, run: Run) -> Row:
        """The change that says what a run failed with."""
        return status_changed(run.thread_id, "error", error=run.failure, **_of(run))

    def lost(self, thread_id: str, failure: Mapping[str, Any]) -> Row:
        """The change that says that a run cannot go on."""
        return status_changed(thread_id, "error", error=failure)

    def ended(self, run: Run, state: StateSnapshot | None) -> Row:
        """The change that says what a thread waits for after a run that did not fail.

        `state` is needed where it may wait for something.
        """
        if state is None or not state.next:
            return status_changed(run.thread_id, "idle", **_of(run))
        waiting = self._jsonable(interrupts_of(state))
        return status_changed(run.thread_id, "interrupted", interrupts=waiting, **_of(run))

    async def error(self, thread_id: str) -> Mapping[str, Any]:
        """What the newest run that failed failed with, as far as the thread still knows."""
        thread = await self._table.get(thread_id)
        return (thread and thread.error) or _FORGOTTEN


class _OfRun(TypedDict):
    metadata: Mapping[str, Any]
    config: Mapping[str, Any]
    lifetime: int | None


def _of(run: Run) -> _OfRun:
    """What a thread says of its newest run."""
    return {
        "metadata": _about(run.assistant),
        "config": {"configurable": run.row.configurable},
        "lifetime": run.ttl,
    }


def _about(assistant: Assistant) -> dict[str, str]:
    return {"graph_id": assistant.graph_id, "assistant_id": assistant.assistant_id}
