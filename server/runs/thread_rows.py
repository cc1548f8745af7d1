"""The rows of threads, as runs need them; `ThreadStatus` keeps them."""

from collections.abc import Mapping
from typing import Any, Protocol

from langgraph.types import StateSnapshot

from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.threads import Thread
from everturn.server.runs.run import Run


class Threads(Protocol):
    """The rows of threads, for runs."""

    async def get(self, thread_id: str, *, ended: bool = False) -> Thread | None:
        """Return the row of a thread; None where there is none.

        With `ended` also of a session that has ended.
        """
        ...

    async def open(
        self, thread_id: str, assistant: Assistant, *, create: bool, metadata: Mapping[str, Any]
    ) -> Thread | None:
        """Return the row of a thread; one is made where there is none, if `create` says so.

        It is then known to be of this assistant's graph, and by what else `metadata` says.
        """
        ...

    def created(self, thread: Thread) -> Row:
        """The row of a new thread."""
        ...

    def busy(self, run: Run) -> Row:
        """The change that says that a run is under way on its thread."""
        ...

    def failed(self, run: Run) -> Row:
        """The change that says what a run failed with."""
        ...

    def ended(self, run: Run, state: StateSnapshot | None) -> Row:
        """The change that says what a thread waits for after a run, if for anything."""
        ...

    def lost(self, thread_id: str, failure: Mapping[str, Any]) -> Row:
        """The change that says that a run cannot go on."""
        ...

    async def error(self, thread_id: str) -> Mapping[str, Any]:
        """What the newest run that failed on a thread failed with."""
        ...
