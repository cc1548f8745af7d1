"""Runs: started where they arrive, in tasks of their own, so that a client may leave.

    create -> thread there? strategy? -> row posted -> task: carried out, its end committed
           -> feed closed -> whoever waits is woken

A run's row is written while it runs, and its end is acknowledged after the commit. Runs of other
processes are seen through their rows, read through the event log, and ended by telling their
process; where it has died, another takes them over: see `recovery`.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from typing import Any, Literal, Protocol

from langchain_core.utils.uuid import uuid7
from structlog import get_logger

from everturn.checkpoints.errors import ThreadBusy
from everturn.checkpoints.shared.peers import Peers
from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.runs import UNFINISHED, RunRow, RunRows, RunStatus
from everturn.server.errors import (
    NothingToCancel,
    RunError,
    RunNotFound,
    ThreadNotFound,
)
from everturn.server.runs.execution import Dumps, Execution, Threads
from everturn.server.runs.request import RunRequest
from everturn.server.runs.run import CancelAction, Running
from everturn.server.runs.webhooks import Webhooks
from everturn.server.streams.feed import Cursor, Event, Feed, Log, follow_log
from everturn.server.streams.thread import Place, ThreadEvent, ThreadMode, Watch, follow_thread
from everturn.server.turns.engine import Engine

log = get_logger(__name__)

_MOST_ATTEMPTS = 5
"""A run that has so often not outlived its process may be what ends it."""

_REMEMBERED_SECONDS = 0.05
"""How long a run is served from memory after its end; then from its row and the event log."""


class Assistants(Protocol):
    """Where assistants are found."""

    async def resolve(self, name_or_id: str) -> Assistant:
        """Return an assistant by its id, or by its graph's name."""
        ...


class Runs:
    """Starts, follows and ends runs."""

    def __init__(
        self,
        engine: Engine,
        rows: RunRows,
        events: Log,
        assistants: Assistants,
        threads: Threads,
        peers: Peers,
        watch: Watch,
        webhooks: Webhooks,
        dumps: Dumps,
    ) -> None:
        """Wire it up; `dumps` turns an event's data into JSON."""
        self._engine = engine
        self._rows = rows
        self._events = events
        self._assistants = assistants
        self._threads = threads
        self._peers = peers
        self._watch = watch
        self._webhooks = webhooks
        self._execution = Execution(engine, rows, threads, self._until_ended, dumps)
        self._dumps = dumps
        self._running: dict[str, Running] = {}
        self._of_thread: dict[str, list[Running]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        peers.subscribe(self._heard)

    async def create(self, request: RunRequest) -> Running:
        """Start a run, or put it behind the others of its thread.

        Raises:
            AssistantNotFound, InvalidInput: the request cannot be run; nothing was written.
            ThreadNotFound: and it shall not be made.
            ThreadBusy: a run is under way, and the strategy is `reject`.
        """
        await self.check_webhook(request.webhook)
        assistant = await self._assistants.resolve(request.assistant_id)
        self._execution.check(request, assistant)
        thread_id = request.thread_id or str(uuid7())
        if request.lasting:
            create = request.if_not_exists == "create" or request.thread_id is None
            about = {**request.config.get("metadata", {}), **request.metadata}
            if not await self._threads.open(thread_id, assistant, create=create, metadata=about):
                raise ThreadNotFound("Thread or assistant not found.")
        async with self._way_made(thread_id, request):
            run = self._begin(request, assistant, thread_id)
            if not self._peers.single and request.multitask_strategy != "enqueue":
                await self.acknowledge(run)  # so that whoever comes next to the thread sees it
        return run

    async def check_webhook(self, url: str | None) -> None:
        """Refuse one that may not be called; raises InvalidInput."""
        if url:
            await self._webhooks.check(url)

    def _begin(self, request: RunRequest, assistant: Assistant, thread_id: str) -> Running:
        row = RunRow(
            run_id=str(uuid7()),
            thread_id=thread_id,
            assistant_id=assistant.assistant_id,
            metadata={
                **assistant.metadata,
                **request.metadata,
                "graph_id": assistant.graph_id,
                "assistant_id": assistant.assistant_id,
            },
            kwargs=request.asked(),
            multitask_strategy=request.multitask_strategy,
        )
        run = Running(row, request, assistant, Feed(row.run_id, self._events))
        if request.recorded:
            run.written = self._rows.insert(row)
        if request.lasting and run.written:
            self._watch.begun(thread_id, row.run_id, run.written)
        self._start(run)
        return run

    async def acknowledge(self, run: Running) -> RunRow:
        """Wait until a run that goes on in the background is written down."""
        if run.written is not None:
            await run.written
        return run.row

    async def adopt(self, alive: Collection[str]) -> None:
        """Go on with the runs of processes that are not alive any more."""
        for row, attempt in await self._rows.adopt(alive):
            try:
                await self._go_on(row, attempt)
            except Exception:  # one that cannot go on now must not keep the others from it
                log.exception("run_not_recovered", run_id=row.run_id)
                self._rows.release(row.run_id)

    async def _go_on(self, row: RunRow, attempt: int) -> None:
        feed = Feed(row.run_id, self._events, attempt)
        if attempt > _MOST_ATTEMPTS:
            await self._give_up(row, feed, "Its process has died each time it was begun.")
            return
        try:
            assistant = await self._assistants.resolve(row.assistant_id)
            request = RunRequest.of_kwargs(row.thread_id, row.assistant_id, row.kwargs)
        except (RunError, TypeError) as error:  # its assistant is gone, or its row is another's
            await self._give_up(row, feed, str(error))
            return
        log.info("run_recovered", run_id=row.run_id, attempt=attempt)
        self._start(Running(row, request, assistant, feed, resumes=True))

    async def _give_up(self, row: RunRow, feed: Feed, reason: str) -> None:
        log.error("run_lost", run_id=row.run_id, thread_id=row.thread_id, reason=reason)
        told = {"error": "RunLost", "message": reason}
        await self._rows.update(row, "error", self._threads.failed(row.thread_id, told))
        feed.publish("error", self._dumps(told))
        feed.close()

    def _start(self, run: Running) -> None:
        self._running[run.row.run_id] = run
        self._of_thread.setdefault(run.thread_id, []).append(run)
        run.task = asyncio.create_task(self._execute(run), name=f"run {run.row.run_id}")

    async def find(self, run_id: str, thread_id: str | None) -> Running | RunRow:
        """Return a run, as it runs here, or else as its row says.

        Raises:
            RunNotFound: there is none.
        """
        return self._find(run_id, thread_id) or await self.get(run_id, thread_id)

    async def final_state(self, row: RunRow) -> Any:
        """Return the state of a run's thread, as whoever waited for the run was told it."""
        if row.status in {"error", "timeout"}:
            return {"__error__": await self._threads.error(row.thread_id)}
        state = await self._engine.state(str(row.metadata["graph_id"]), row.thread_id)
        if state.interrupts and isinstance(state.values, dict):
            return {**state.values, "__interrupt__": list(state.interrupts)}
        return state.values

    async def follow(
        self, run_id: str, thread_id: str | None, after: Cursor | None
    ) -> AsyncGenerator[list[Event]]:
        """What a run streams after a place; None means from now on.

        Raises:
            RunNotFound: there is none.
        """
        if run := self._find(run_id, thread_id):
            return run.feed.follow(run.feed.end if after is None else after)
        if thread_id is not None:
            await self.get(run_id, thread_id)
        return self._follow_elsewhere(run_id, thread_id, after)

    async def _follow_elsewhere(
        self, run_id: str, thread_id: str | None, after: Cursor | None
    ) -> AsyncGenerator[list[Event]]:
        async def over() -> bool:
            if thread_id is None:  # it has no row, and its log is kept for a while after its end
                return not await self._events.last_attempt(run_id)
            row = await self._rows.get(run_id, thread_id)
            return row is None or row.status not in UNFINISHED

        async with self._peers.news(run_id) as news:
            following = follow_log(self._events, run_id, after, news, over)
            async with aclosing(following):
                async for events in following:
                    yield events

    async def ended(self, row: RunRow) -> AsyncGenerator[None]:
        """Wait for the end of a run elsewhere; yields now and then, so that callers can too."""
        following = self._follow_elsewhere(row.run_id, row.thread_id, None)
        async with aclosing(following):
            async for _ in following:
                yield

    async def _until_ended(self, row: RunRow) -> None:
        if run := self._find(row.run_id, row.thread_id):
            await run.done.wait()
            return
        async for _ in self.ended(row):
            pass

    async def follow_thread(
        self,
        thread_id: str,
        after: Place | None,
        modes: Collection[ThreadMode],
        state: Callable[[], Awaitable[bytes]],
    ) -> AsyncGenerator[list[ThreadEvent]]:
        """What happens on a thread after a place, or from now on; see `thread_stream`."""

        async def runs_after(thread_id: str, run_id: str | None) -> list[str]:
            here = [run.row.run_id for run in self._of_thread.get(thread_id, ())]
            rows = await self._rows.ids_from(thread_id, run_id)
            return sorted({*rows, *(each for each in here if run_id is None or each >= run_id)})

        async def follow(run_id: str, place: Cursor | None) -> AsyncGenerator[list[Event]]:
            if run := self._find(run_id, thread_id):
                return run.feed.follow(run.feed.end if place is None else place)
            return self._follow_elsewhere(run_id, thread_id, place)

        return follow_thread(
            self._watch,
            thread_id,
            after,
            runs_after=runs_after,
            follow=follow,
            state=state,
            modes=modes,
        )

    async def get(self, run_id: str, thread_id: str | None = None) -> RunRow:
        """Return a run's row.

        Raises:
            RunNotFound: there is none.
        """
        if run := self._find(run_id, thread_id):
            return run.row
        row = await self._rows.get(run_id, thread_id)
        if row is None:
            raise RunNotFound(f"There is no run {run_id!r} on this thread.")
        return row

    async def of_thread(
        self, thread_id: str, *, limit: int, offset: int, status: RunStatus | None
    ) -> list[RunRow]:
        """Return the runs of a thread, newest first."""
        return await self._rows.of_thread(thread_id, limit=limit, offset=offset, status=status)

    async def cancel(
        self, run_ids: Sequence[str], thread_id: str | None, action: CancelAction, *, wait: bool
    ) -> None:
        """Stop runs; with `rollback` they and what they did are undone.

        Raises:
            NothingToCancel: none of them is under way.
        """
        here = [run for run_id in run_ids if (run := self._find(run_id, thread_id))]
        here = [run for run in here if not run.done.is_set()]
        known = {run.row.run_id for run in here}
        others = [run_id for run_id in run_ids if run_id not in known]
        elsewhere = await self._unfinished_elsewhere(others, thread_id)
        if not here and not elsewhere:
            raise NothingToCancel(
                "No matching runs to cancel. Please verify the thread ID and run IDs are correct, "
                "and the runs haven't been deleted or completed."
            )
        await self._end_all(here, elsewhere, action, wait=wait)

    async def cancel_all(self, status: Literal["pending", "running", "all"]) -> None:
        """Stop all runs that stand so."""
        await self._peers.publish({"cancel_all": status})
        self._cancel_all(status)

    def _cancel_all(self, status: Literal["pending", "running", "all"]) -> None:
        wanted = UNFINISHED if status == "all" else (status,)
        for run in list(self._running.values()):
            if not run.done.is_set() and run.row.status in wanted:
                self.stop(run, "interrupt")

    async def cancel_thread(self, thread_id: str) -> None:
        """Stop all runs of a thread, and wait for their ends."""
        await self._end_all(*await self._under_way(thread_id), "interrupt", wait=True)

    async def delete(self, run_id: str, thread_id: str) -> None:
        """Delete a run that has ended.

        Raises:
            RunNotFound: there is none.
            ThreadBusy: it is under way.
        """
        row = await self.get(run_id, thread_id)
        if row.status in UNFINISHED:
            raise ThreadBusy(f"run {row.run_id!r} is under way: cancel it first")
        await self._rows.delete(run_id)
        self._running.pop(run_id, None)

    async def close(self) -> None:
        """Hand over the runs that have not begun, and wait until all have written how they stand.

        Those elsewhere go on by themselves.
        """
        tasks = {run.task for run in self._running.values() if run.task and not run.task.done()}
        for task in (*tasks, *self._telling):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    def _find(self, run_id: str, thread_id: str | None) -> Running | None:
        run = self._running.get(run_id)
        return run if run and thread_id in {None, run.thread_id} else None

    @asynccontextmanager
    async def _way_made(self, thread_id: str, request: RunRequest) -> AsyncIterator[None]:
        """Do with the thread's unfinished runs what the strategy says, and begin the next.

        Among several processes, those who care for the others on the thread come one by one.
        """
        strategy = request.multitask_strategy
        if strategy == "enqueue":
            yield
            return
        async with nullcontext() if self._peers.single else self._engine.alone(f"{thread_id}:next"):
            while any(under_way := await self._under_way(thread_id)):
                if strategy == "reject":
                    raise ThreadBusy(
                        f"thread {thread_id!r} has a run under way: wait for its end, or choose "
                        "another multitask_strategy"
                    )
                await self._end_all(*under_way, strategy, wait=True)  # others may begin meanwhile
            yield

    async def _under_way(self, thread_id: str) -> tuple[list[Running], list[RunRow]]:
        """The unfinished runs of a thread: those here, and those of other processes."""
        here = [run for run in self._of_thread.get(thread_id, ()) if not run.done.is_set()]
        if self._peers.single:
            return here, []
        rows = await self._rows.unfinished(thread_id=thread_id)
        return here, [row for row in rows if row.run_id not in self._running]

    async def _unfinished_elsewhere(
        self, run_ids: Sequence[str], thread_id: str | None
    ) -> list[RunRow]:
        if self._peers.single:
            return []
        rows = [await self._rows.get(run_id, thread_id) for run_id in run_ids]
        return [row for row in rows if row and row.status in UNFINISHED]

    async def _end_all(
        self,
        here: Sequence[Running],
        elsewhere: Sequence[RunRow],
        action: CancelAction,
        *,
        wait: bool,
    ) -> None:
        """Tell runs to end, wherever they are."""
        for run in here:
            self.stop(run, action)
        ending = asyncio.create_task(self._end_elsewhere(elsewhere, action)) if elsewhere else None
        if ending:
            self._telling.add(ending)
            ending.add_done_callback(self._ended_elsewhere)
        if not wait:
            return
        for run in here:
            await run.done.wait()
        if ending:
            await asyncio.shield(ending)

    async def _end_elsewhere(self, rows: Sequence[RunRow], action: CancelAction) -> None:
        """Tell the processes of runs to end them, until they have.

        It may not be heard, for a process may just have died: then whoever takes its run over,
        perhaps this one, ends it.
        """
        told = {"cancel": [row.run_id for row in rows], "action": action}
        await self._peers.publish(told)
        for row in rows:
            async for _ in self.ended(row):
                self._heard(told)
                await self._peers.publish(told)

    def _ended_elsewhere(self, ending: asyncio.Task[None]) -> None:
        self._telling.discard(ending)
        if not ending.cancelled() and (error := ending.exception()):
            log.warning("runs_not_ended", error=str(error))

    def _heard(self, told: Mapping[str, Any]) -> None:
        """Do what another process asks."""
        for run_id in told.get("cancel", ()):
            if (run := self._running.get(run_id)) and not run.done.is_set():
                self.stop(run, told["action"])
        if status := told.get("cancel_all"):
            self._cancel_all(status)

    def stop(self, run: Running, action: CancelAction = "interrupt") -> None:
        """Tell a run to end."""
        if run.cancelled is None and run.task is not None:
            run.cancelled = action
            # A task that is cancelled before it has begun never does: it looks at `cancelled`.
            if run.feed.end.number:
                run.task.cancel()

    def leave(self, run_id: str, thread_id: str | None) -> None:
        """Tell a run to end, wherever it is, whose listener left and wanted it so."""
        if run := self._find(run_id, thread_id):
            self.stop(run)
        elif not self._peers.single:
            told = {"cancel": [run_id], "action": "interrupt"}
            telling = asyncio.create_task(self._peers.publish(told))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

    async def _execute(self, run: Running) -> None:
        await self._execution.carry_out(run)
        # Cancelled once, the task still has to write down how the run ended.
        ending = asyncio.create_task(self._end(run))
        while not ending.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(ending)

    async def _end(self, run: Running) -> None:
        """Have the end committed, then let those go who wait."""
        attempt = None
        try:
            attempt = await self._execution.settle(run)
        except Exception as error:
            log.exception("run_end_not_stored", run_id=run.row.run_id)
            run.error = run.error or error
        finally:
            run.feed.close(for_good=not run.goes_on_elsewhere)
            run.done.set()
            others = self._of_thread.get(run.thread_id, [])
            others.remove(run)
            if not others:
                self._of_thread.pop(run.thread_id, None)
            kept = 0 if run.cancelled == "rollback" else _REMEMBERED_SECONDS
            asyncio.get_running_loop().call_later(kept, self._forget, run)
        if attempt is not None:
            await self._go_on(run.row, attempt)
        elif run.request.webhook and not run.goes_on_elsewhere:
            body = self._dumps(run.last_words())
            self._webhooks.send(run.request.webhook, run.row.run_id, body)

    def _forget(self, run: Running) -> None:
        if self._running.get(run.row.run_id) is run:
            del self._running[run.row.run_id]
