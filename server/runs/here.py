"""The runs of this process, found by their id or by their thread."""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from everturn.server.runs.run import Run

KNOWN_SECONDS = 0.05
"""How long a run is served from memory after its end; then from its row and the event log."""
_DELETED_SECONDS = 120.0
"""Longer than a run that comes during a deletion waits for its end (EVERTURN_THREAD_WAIT)."""


class Here:
    """Knows each run from its start until shortly after its end."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._deleted: set[str] = set()
        self._of_thread: dict[str, list[Run]] = {}
        self._awaited: dict[str, set[asyncio.Event]] = {}

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._runs.values()))

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._runs

    def add(self, run: Run) -> None:
        """Know a run from now on."""
        self._runs[run.row.run_id] = run
        self._of_thread.setdefault(run.thread_id, []).append(run)
        for event in self._awaited.get(run.row.run_id, ()):
            event.set()

    @contextmanager
    def awaited(self, run_id: str, event: asyncio.Event) -> Iterator[None]:
        """Set an event when a run comes to this process."""
        events = self._awaited.setdefault(run_id, set())
        events.add(event)
        try:
            yield
        finally:
            events.discard(event)
            if not events and self._awaited.get(run_id) is events:
                del self._awaited[run_id]

    @property
    def ids(self) -> Collection[str]:
        """The ids of the runs that are known."""
        return self._runs.keys()

    def find(self, run_id: str, thread_id: str | None) -> Run | None:
        """Return the run of this id, if it is on this thread; None stands for any thread."""
        run = self._runs.get(run_id)
        return run if run and thread_id in {None, run.thread_id} else None

    def on(self, thread_id: str) -> list[Run]:
        """Return the runs of a thread that have not ended."""
        return list(self._of_thread.get(thread_id, ()))

    def unfinished(self, thread_id: str | None = None) -> list[Run]:
        """Return the runs that have not ended, of one thread or of all."""
        runs = self if thread_id is None else self._of_thread.get(thread_id, ())
        return [run for run in runs if not run.done.is_set()]

    def end(self, run: Run) -> None:
        """Take an ended run off its thread; it can still be found by its id."""
        others = self._of_thread.get(run.thread_id, [])
        if run in others:
            others.remove(run)
        if not others:
            self._of_thread.pop(run.thread_id, None)

    def thread_deleted(self, thread_id: str) -> None:
        """Remember for a while that a thread is being deleted: runs may be waiting for it."""
        self._deleted.add(thread_id)
        asyncio.get_running_loop().call_later(_DELETED_SECONDS, self._deleted.discard, thread_id)

    def may_be_deleted(self, thread_id: str) -> bool:
        """Whether the thread of a run that holds it now may have been deleted meanwhile."""
        return thread_id in self._deleted

    def forget(self, run: Run) -> None:
        """Know a run no more."""
        self.end(run)
        if self._runs.get(run.row.run_id) is run:
            del self._runs[run.row.run_id]
