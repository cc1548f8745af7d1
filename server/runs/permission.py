"""What a caller may do with runs: a run is its thread's, and whose the thread is, so is the run."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID

from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.matches import EVERYTHING, Match
from everturn.checkpoints.sql.runs import RunRow
from everturn.checkpoints.sql.threads import Thread
from everturn.server.access.access import Access, Action, rule_id
from everturn.server.errors import RunNotFound
from everturn.server.runs.request import RunRequest

_CHANGED = ("input", "command", "config", "context", "webhook")
"""What a rule may change of a run, in its `kwargs`; beside them its `metadata`."""


class Threads(Protocol):
    """The rows of threads."""

    async def get(self, thread_id: str) -> Thread | None:
        """Return the row of a thread; None where there is none, or it has expired."""
        ...


class RunAccess:
    """Asks the project's rules of runs. Its methods raise as `Access.allowed` does."""

    def __init__(self, access: Access, threads: Threads) -> None:
        self.on = access.on
        self._access = access
        self._threads = threads

    async def create(
        self, request: RunRequest, assistant: Assistant, thread_id: str | None
    ) -> tuple[RunRequest, Match]:
        """Return a run as the rules have it, and on which threads it may be."""
        if not self.on:
            return request, EVERYTHING
        kwargs = deepcopy({name: getattr(request, name) for name in _CHANGED})
        asked: dict[str, Any] = {
            "thread_id": rule_id(thread_id),
            "assistant_id": UUID(assistant.assistant_id),
            "run_id": None,  # given when it has its place among the others of its thread
            "status": "pending",
            "metadata": dict(request.metadata),
            "prevent_insert_if_inflight": request.multitask_strategy == "reject",
            "multitask_strategy": request.multitask_strategy,
            "if_not_exists": request.if_not_exists,
            "after_seconds": request.after_seconds,
            "kwargs": {**request.kwargs(), **kwargs},
        }
        allowed = await self._access.allowed("threads", "create_run", asked)
        changed = {name: asked["kwargs"].get(name, kwargs[name]) for name in _CHANGED}
        return replace(request, metadata=asked["metadata"] or {}, **changed), allowed

    async def of_thread(
        self, action: Action, thread_id: str, more: Mapping[str, Any] | None = None
    ) -> bool:
        """Say whether the caller may do something with the runs of a thread."""
        asked = {"thread_id": rule_id(thread_id), **(more or {})}
        allowed = await self._access.allowed("threads", action, asked)
        return allowed is EVERYTHING or await self._fits(thread_id, allowed)

    async def may_have(self, thread: Thread, allowed: Match) -> bool:
        """Say whether the caller may run on a thread that is there, and so see what is on it.

        Args:
            thread: as its row says.
            allowed: by the rule of `create_run`; that of `read` counts, too.
        """
        if not self.on:
            return True
        if not allowed.fits(thread.metadata):
            return False
        asked = {"thread_id": rule_id(thread.thread_id)}
        return (await self._access.allowed("threads", "read", asked)).fits(thread.metadata)

    async def check(self, action: Action, run_id: str, thread_id: str) -> None:
        """Refuse a run whose thread is somebody else's.

        Raises:
            RunNotFound: as if there were none.
        """
        if self.on and not await self.of_thread(action, thread_id, {"run_id": rule_id(run_id)}):
            raise run_not_found(run_id)

    async def check_threadless(
        self, row: RunRow | None, run_id: str, metadata: Mapping[str, Any] | None
    ) -> None:
        """Refuse a run on a thread of its own that is somebody else's; so say its own metadata.

        Args:
            row: of the run; None where it has ended.
            run_id: of the run.
            metadata: of the run; None where they are not known.

        Raises:
            RunNotFound: as if there were none.
        """
        if not self.on:
            return
        asked = {"thread_id": row and rule_id(row.thread_id), "run_id": rule_id(run_id)}
        allowed = await self._access.allowed("threads", "read", asked)
        if allowed is EVERYTHING:
            return
        if row is not None:
            fits = await self._fits(row.thread_id, allowed, metadata)
        else:
            fits = metadata is not None and allowed.fits(metadata)
        if not fits:
            raise run_not_found(run_id)

    async def cancellable(self, status: str) -> Match:
        """Return on which threads the caller may cancel all runs of a status."""
        metadata = {"run_ids": None, "status": status}
        asked = {"thread_id": None, "action": "interrupt", "metadata": metadata}
        return await self._access.allowed("threads", "update", asked)

    async def fits(self, row: RunRow, allowed: Match) -> bool:
        """Say whether a run's thread, or a run without one, is among those that are allowed."""
        return await self._fits(row.thread_id, allowed, row.metadata)

    async def _fits(
        self, thread_id: str, allowed: Match, otherwise: Mapping[str, Any] | None = None
    ) -> bool:
        thread = await self._threads.get(thread_id)
        metadata = thread.metadata if thread else otherwise
        return metadata is not None and allowed.fits(metadata)


def run_not_found(run_id: str) -> RunNotFound:
    """Say that there is no such run, whether it never was or is somebody else's."""
    return RunNotFound(f"The run {run_id} was not found.")
