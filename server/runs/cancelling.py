"""Ending runs: by their ids, by their status, with their thread, or for the next one on it."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Literal

from everturn.checkpoints.sql.matches import EVERYTHING, Match
from everturn.checkpoints.sql.runs import UNFINISHED, RunRow, RunStatus
from everturn.server.errors import NothingToCancel
from everturn.server.observe.audit import audit
from everturn.server.runs.elsewhere import stop_all
from everturn.server.runs.execution import CLIENT_SECONDS
from everturn.server.runs.reading import RunReader
from everturn.server.runs.run import CancelAction, Run

_NOTHING_TO_CANCEL = (
    "Runs to cancel were not found: they have ended or were deleted, or the ids are of no run."
)


class RunCanceller(RunReader):
    """Ends runs, wherever they are, and deletes them."""

    async def any_on(self, thread_id: str) -> bool:
        """Say whether a run of a thread has not ended; one that is delayed counts too."""
        return any(await self._under_way(thread_id))

    async def cancel(
        self, run_ids: Sequence[str], thread_id: str | None, action: CancelAction, *, wait: bool
    ) -> None:
        """End runs; with `rollback` they and what they did are undone.

        Raises:
            NothingToCancel: none of them is under way, or they are somebody else's.
        """
        if thread_id is not None:
            about = {"run_ids": list(run_ids), "status": None}
            more = {"action": action, "metadata": about}
            if not await self._access.of_thread("update", thread_id, more):
                raise NothingToCancel(_NOTHING_TO_CANCEL)
        found = [run for run_id in run_ids if (run := self._here.find(run_id, thread_id))]
        here = [run for run in found if not run.done.is_set()]
        elsewhere = await self._elsewhere.unfinished(run_ids, thread_id)
        if not here and not elsewhere:
            raise NothingToCancel(_NOTHING_TO_CANCEL)
        await self._end_all(here, elsewhere, action, wait=wait)

    async def cancel_all(self, status: Literal["pending", "running", "all"]) -> None:
        """End all runs of this status, in every process, that are the caller's to end.

        Raises:
            NothingToCancel: there is none.
        """
        statuses = UNFINISHED if status == "all" else (status,)
        allowed = await self._access.cancellable(status)
        if allowed is not EVERYTHING:
            await self._cancel_allowed(statuses, allowed)
            return
        here = any(run.row.status in statuses for run in self._here.unfinished())
        rows = await self._rows.unfinished(status=statuses)
        if not (here or rows):
            raise NothingToCancel(_NOTHING_TO_CANCEL)
        others = [row.run_id for row in rows if row.run_id not in self._here]
        await self._elsewhere.end_waiting(others, "interrupt")
        await self._elsewhere.cancel_all(statuses)
        stop_all(self._here, statuses)

    async def _cancel_allowed(self, statuses: Sequence[RunStatus], allowed: Match) -> None:
        for run in self._here.unfinished():
            if run.row.status in statuses and await self._access.fits(run.row, allowed):
                run.stop()
        for row in await self._rows.unfinished(status=statuses):
            if row.run_id not in self._here and await self._access.fits(row, allowed):
                self._elsewhere.ask_to_cancel(row.run_id)

    async def cancel_thread(self, thread_id: str) -> None:
        """End all runs of a thread that is to be deleted, and wait until they have ended.

        Runs that come to the thread after this find out when they hold it.
        """
        self._watch.deleted(thread_id)
        await self._elsewhere.thread_deleted(thread_id)
        await self._end_all(*await self._under_way(thread_id), "interrupt", wait=True)

    def leave(self, run_id: str, thread_id: str | None) -> None:
        """End a run, wherever it is, whose client left and wanted it so."""
        if run := self._here.find(run_id, thread_id):
            run.stop()
        else:
            self._elsewhere.ask_to_cancel(run_id)

    async def delete(self, run_id: str, thread_id: str) -> None:
        """Delete a run, its webhook and what it streamed; one under way is cancelled first.

        Raises:
            RunNotFound: there is none, or its thread is somebody else's.
        """
        await self._access.check("delete", run_id, thread_id)
        row = await self._get(run_id, thread_id)
        if row.status in UNFINISHED:
            with suppress(NothingToCancel):  # it has ended meanwhile
                await self.cancel([run_id], thread_id, "interrupt", wait=True)
        await self._rows.delete(run_id, thread_id, seconds=CLIENT_SECONDS)
        await self._webhooks.forget(run_id)
        await self._forget_events([run_id])
        audit("run.deleted", target=run_id, thread_id=thread_id)

    async def forget_thread(self, thread_id: str) -> None:
        """Forget what the runs of a thread streamed; their rows go with the thread's."""
        here = [run.row.run_id for run in self._here if run.thread_id == thread_id]
        await self._forget_events({*here, *await self._rows.ids_from(thread_id, "")})

    async def _forget_events(self, run_ids: Collection[str]) -> None:
        for run_id in run_ids:
            if run := self._here.find(run_id, None):
                self._here.forget(run)
        if run_ids:
            await self._events.delete(*run_ids)

    async def _under_way(self, thread_id: str) -> tuple[list[Run], list[RunRow]]:
        """The unfinished runs of a thread: those here, and those of other processes."""
        return self._here.unfinished(thread_id), await self._elsewhere.unfinished_on(thread_id)

    async def _end_all(
        self, here: Sequence[Run], elsewhere: Sequence[RunRow], action: CancelAction, *, wait: bool
    ) -> None:
        """Ask runs to end, wherever they are."""
        for run in here:
            run.stop(action)
        ending = self._elsewhere.cancel(elsewhere, action) if elsewhere else None
        if not wait:
            return
        for run in here:
            await run.stored()
        if ending:
            await asyncio.shield(ending)
