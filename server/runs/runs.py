"""Runs: started where they arrive, in tasks of their own, so that a client may leave.

    create -> place on the thread -> thread there? strategy? -> row posted -> task: executed, its
           end committed -> counted and logged -> feed closed -> clients that wait go on

Every door asks here, and nothing else runs turns. A run's row is written while it runs, and its
end is acknowledged after the commit; it begins when its row is committed, and its thread is let go
when its end is. Starting them: see `creating`; what they are and stream: `reading`; ending them:
`cancelling`; those of other processes: `elsewhere`; those that waited, or were left by a process
that died: `queue`, `taking`.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic

from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.sql.assistants import Assistant
from everturn.server.access.caller import acting_as
from everturn.server.errors import ThreadNotFound
from everturn.server.observe.context import run_named
from everturn.server.observe.turns import report_turn
from everturn.server.runs.creating import RunCreator
from everturn.server.runs.here import KNOWN_SECONDS
from everturn.server.runs.injection import Message
from everturn.server.runs.request import RunRequest
from everturn.server.runs.run import Run
from everturn.server.runs.traced import traced
from everturn.server.streams.modes import SUMMARY
from everturn.server.turns.outcome import summary

log = get_logger(__name__)


_HAND_OVER_SECONDS = 5.0
_PROMPT_SECONDS = 0.5


class Runs(RunCreator):
    """Executes runs, and lets them end; see `RunCreator` for what else it does."""

    _leaving = False

    async def inject(self, thread_id: str, message: Message) -> str | None:
        """Hand a message to the run that is under way on a thread; see `injection`.

        Returns the id of the run whose next step sees it, once it is written; None where nothing is
        under way that takes it: then nothing was done. One that is to start later takes none.

        Raises:
            ThreadNotFound: the caller may not change the thread.
            InvalidInput, and what the graph's own rules raise: the message does not fit.
        """
        if not await self._access.of_thread("update", thread_id):
            raise ThreadNotFound(f"The thread {thread_id} was not found.")
        while True:
            here, others = await self._under_way(thread_id)
            if run := next((each for each in here if each.row.is_due), None):
                if await run.inbox.put(message):
                    return run.row.run_id
                await run.done.wait()
            elif row := next((each for each in others if each.is_due), None):
                if await self._elsewhere.inject(row, message):
                    return row.run_id
            else:
                return None

    async def admitted(self, request: RunRequest, assistant: Assistant) -> RunRequest:
        """Return a request as it may be stored; see `Execution.admitted`."""
        return await self._execution.admitted(request, assistant)

    def check_room(self, count: int) -> None:
        """Refuse so many runs of the background at once, before one of them is started.

        Raises:
            Overloaded: too many wait.
        """
        self._queue.check(max(1, count - self._slots.free))

    def graph(self, name: str | None) -> str:
        """Return the graph that a request of a graph's door means; without a name the default.

        Raises:
            InvalidInput: no name was given and there is no default.
        """
        return self._engine.graphs.chosen(name, "graph")

    async def take_from_the_dead(
        self, alive: Collection[str], last_alive: Mapping[str, float] | None = None
    ) -> None:
        """Have the runs of processes that are not alive wait again: who has room takes them.

        Their webhooks are sent by the others, too.

        Args:
            alive: the names of all processes that are.
            last_alive: when processes were, as far as that is known, by the monotonic clock.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        await self._webhooks.adopt(alive)
        if left_by := await self._rows.disown(alive):
            for process in left_by:
                if last_alive and process in last_alive:
                    self._metrics.run_left(monotonic() - last_alive[process])
            await self._peers.publish({"waiting": True})
            self._at_once.full.clear()  # they have their places still
        self._queue.wake()  # also for what a process that was stopped has handed over

    async def keep_places(self) -> None:
        """Have the places of callers' runs renewed. Never ends."""
        await self._at_once.keep()

    async def take_what_waits(self) -> None:
        """Take runs that wait, as there is room for them. Never ends."""
        await self._queue.serve(lambda: self._here.ids)

    async def measure(self) -> None:
        """Find out what waits in the background; without a prompt answer the last one counts."""
        with suppress(CheckpointsError, TimeoutError):
            async with asyncio.timeout(_PROMPT_SECONDS):
                await self._queue.measure()

    def say_what_waits(self) -> None:
        """Have the metrics say what is under way and what waits, and for how long."""
        figures, waits = self._metrics.runs, self._queue.measured
        figures.queue.set(waits.due)
        figures.queue_age.set(_age(waits.since))
        figures.queue_limit.set(self._queue.max_waiting)
        figures.running.set(self._slots.under_way)
        figures.limit.set(self._slots.max_runs)
        figures.waiting.set(self._slots.waiting)
        figures.waiting_age.set(self._slots.oldest)
        self._metrics.now.saw(self._slots.under_way, self._slots.waiting, waits.due)

    def _start(self, run: Run) -> None:
        self._here.add(run)
        if run.resumes:
            self._metrics.run_recovered()
        run.task = asyncio.create_task(self._execute(run), name=f"run {run.row.run_id}")

    async def forget_keys(self, caller: str) -> None:
        """Delete all keys of a caller, and what was kept with them."""
        await self._keys.forget(caller)

    async def sweep_keys(self) -> None:
        """Delete the keys that have expired, and what was kept with them."""
        await self._keys.sweep()

    @property
    def leaving(self) -> bool:
        """Whether this process ends soon, so that clients had better ask another one."""
        return self._leaving

    def leave_soon(self) -> None:
        """Say that this process ends soon: who follows a thread is sent to another one.

        Runs are taken as before.
        """
        self._leaving = True
        self._watch.close()

    async def drain(self, grace: float) -> None:
        """Take no more runs, and wait for those under way; after `grace` seconds end them.

        Called again meanwhile it ends them sooner. What has not ended or not started is handed
        over: another process goes on with it, or the next one here.
        """
        self.leave_soon()
        self._queue.close()
        await self._engine.drain(grace)
        await self._hand_over()

    async def close(self) -> None:
        """Hand over what has not ended, and leave the runs elsewhere to themselves."""
        await self._hand_over()
        await self._elsewhere.close()

    async def _hand_over(self) -> None:
        """End all runs here, and wait until it is stored how they ended."""
        tasks = {run.task for run in self._here if run.task and not run.task.done()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_HAND_OVER_SECONDS)

    async def _execute(self, run: Run) -> None:
        with run_named(run.row.run_id, run.thread_id, run.caller):
            # In a task of its own, also one that was taken over.
            with acting_as(run.caller), traced(self._traces, run):
                await self._execution.execute(run)
            # Cancelled once, the task still has to store how the run ended.
            ending = asyncio.create_task(self._end(run))
            while not ending.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.shield(ending)

    async def _end(self, run: Run) -> None:
        """Have the end committed, count it, then let those go on who wait for it."""
        attempt = None
        leaving = asyncio.create_task(self._at_once.leave(run.row.run_id))
        try:
            attempt = await self._execution.store_end(run)
        except Exception as error:
            log.exception("run_end_not_stored", run_id=run.row.run_id)
            if run.error is None:
                run.error = error
                run.feed.publish("error", self._dumps(run.failure))
        finally:
            await leaving  # who is answered has room for the next
            self._finish(run)
        if attempt is not None:
            again = RunRequest.of_kwargs(
                run.row.thread_id, run.row.assistant_id, run.request.kwargs()
            )
            await self._taking.go_on(run.row, again, attempt, run.caller)
        elif run.request.webhook:
            self._webhooks.look()

    def _finish(self, run: Run) -> None:
        """Count a run, unless it goes on elsewhere, and let those go on who wait for its end."""
        if not run.goes_on_elsewhere:
            report_turn(
                self._metrics,
                endpoint=run.request.door,
                run_id=run.row.run_id,
                session_id=None if run.request.without_memory else run.thread_id,
                graph=run.assistant.graph_id,
                caller=run.caller,
                model=run.made.route["model"] if run.status == "success" else None,
                calls=run.calls,
                error=run.error,
                cancelled=run.cancelled is not None,
                waits=bool(run.outcome and run.outcome.interrupts),
                seconds=monotonic() - run.asked_at,
                first_token=run.first_token,
            )
        if SUMMARY in run.request.stream_mode and run.status == "success" and run.outcome:
            run.feed.publish(SUMMARY, self._dumps(summary(run.outcome)))
        leaves_events_alone = self._access.on and not run.request.lasting
        about = self._dumps(run.row.metadata) if leaves_events_alone else b"null"
        run.inbox.close()
        run.feed.close(for_good=not run.goes_on_elsewhere, about=about)
        run.finish()
        self._here.end(run)
        self._queue.left(run)
        known = 0 if run.cancelled == "rollback" else KNOWN_SECONDS
        asyncio.get_running_loop().call_later(known, self._here.forget, run)


def _age(since: datetime | None) -> float:
    return max(0.0, (datetime.now(UTC) - since).total_seconds()) if since else 0.0
