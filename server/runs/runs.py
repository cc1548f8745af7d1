"""Runs: started where they arrive, in tasks of their own, so that a client may leave.

    create -> thread there? strategy? -> row posted -> task: engine.run -> events to the feed
           -> rows of run and thread committed -> feed closed -> whoever waits is woken

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
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol
from uuid import UUID, uuid4

from langchain_core.utils.uuid import uuid7
from langgraph.types import Command, Send
from structlog import get_logger

from checkpoints.assistants import Assistant
from checkpoints.errors import StaleWriter, ThreadBusy
from checkpoints.group_commit import Row
from checkpoints.peers import Peers
from checkpoints.runs import COLUMNS, UNFINISHED, RunRow, RunRows, RunStatus
from server.runs.engine import Engine, Part, Turn
from server.runs.errors import (
    InvalidInput,
    NothingToCancel,
    RunError,
    RunNotFound,
    ShuttingDown,
    ThreadNotFound,
    TurnTimeout,
)
from server.runs.feed import Cursor, Event, Feed, Log, follow_log
from server.runs.outcome import Outcome
from server.runs.parts import Parts, graph_modes
from server.runs.run import RunRequest
from server.runs.thread_stream import Place, ThreadEvent, ThreadMode, Watch, follow_thread
from server.runs.webhooks import Webhooks

log = get_logger(__name__)

CancelAction = Literal["interrupt", "rollback"]

_ENQUEUED_SECONDS = 86_400.0
"""How long a run waits for those before it on its thread."""

_MOST_ATTEMPTS = 5
"""A run that has so often not outlived its process may be what ends it."""

_REMEMBERED_SECONDS = 0.05
"""How long a run is served from memory after its end; then from its row and the event log."""

Dumps = Callable[[Any], bytes]


class Assistants(Protocol):
    """Where assistants are found."""

    async def resolve(self, name_or_id: str) -> Assistant:
        """Return an assistant by its id, or by its graph's name."""
        ...


class Threads(Protocol):
    """Where threads are found, and told how they stand."""

    async def open(
        self,
        thread_id: str,
        assistant: Assistant,
        *,
        create: bool,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """See that a thread is there; False where it is not and shall not be made.

        One that is made is known to be of this graph, and by what else `metadata` says.
        """
        ...

    def begun(self, thread_id: str, assistant: Assistant) -> Row:
        """The row that says that a run is under way."""
        ...

    def failed(self, thread_id: str, error: Mapping[str, Any]) -> Row:
        """The row that says what a run failed with."""
        ...

    async def ended(self, thread_id: str, assistant: Assistant, outcome: Outcome | None) -> Row:
        """The row that says how the thread stands after a run that did not fail."""
        ...

    async def error(self, thread_id: str) -> Mapping[str, Any]:
        """What the newest run that failed on a thread failed with."""
        ...


@dataclass(eq=False, slots=True)
class Running:
    """A run of this process, until shortly after its end."""

    row: RunRow
    request: RunRequest
    assistant: Assistant
    feed: Feed
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    resumes: bool = False
    """It may have begun before: it goes on from its last checkpoint, if nothing came between."""
    written: asyncio.Future[list[Any]] | None = None
    task: asyncio.Task[None] | None = None
    outcome: Outcome | None = None
    error: BaseException | None = None
    error_id: str = ""
    """By which the log knows the error."""
    cancelled: CancelAction | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def thread_id(self) -> str:
        """The thread it runs on."""
        return self.row.thread_id

    @property
    def goes_on_elsewhere(self) -> bool:
        """Another process takes it over, or the next one here; or one has done so already."""
        return self.request.lasting and isinstance(self.error, ShuttingDown | StaleWriter)

    @property
    def told(self) -> dict[str, str]:
        """How it failed, in LangGraph's words: the error's class and text."""
        error = self.error
        if isinstance(error, InvalidInput) and error.__cause__ is not None:
            error = error.__cause__
        return {"error": type(error).__name__, "message": _words(error), "error_id": self.error_id}


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
        self._dumps = dumps
        self._running: dict[str, Running] = {}
        self._of_thread: dict[str, list[Running]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        peers.hear(self._heard)

    async def create(self, request: RunRequest) -> Running:
        """Start a run, or put it behind the others of its thread.

        Raises:
            AssistantNotFound, InvalidInput: the request cannot be run; nothing was written.
            ThreadNotFound: and it shall not be made.
            ThreadBusy: a run is under way, and the strategy is `reject`.
        """
        assistant = await self._assistants.resolve(request.assistant_id)
        thread_id = request.thread_id or str(uuid7())
        if request.lasting:
            create = request.if_not_exists == "create" or request.thread_id is None
            about = {**request.config.get("metadata", {}), **request.metadata}
            if not await self._threads.open(thread_id, assistant, create=create, metadata=about):
                raise ThreadNotFound("Thread or assistant not found.")
        async with self._way_made(thread_id, request):
            run = self._begin(request, assistant, thread_id)
            if not self._peers.alone and request.multitask_strategy != "enqueue":
                await self.acknowledge(run)  # so that whoever comes next to the thread sees it
        return run

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
        if request.lasting:
            run.written = self._rows.insert(row)
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
        for row in await self._rows.adopt(alive):
            await self._go_on(row)

    async def _go_on(self, row: RunRow) -> None:
        attempt = await self._events.last_attempt(row.run_id) + 1
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

    async def wait(self, run: Running) -> None:
        """Wait for a run's end, and for its rows to be committed."""
        await run.done.wait()

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
        await self._peers.tell({"cancel_all": status})
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
        """Wait for the tasks of runs that were told to end; those elsewhere go on by themselves."""
        for ending in self._telling:
            ending.cancel()
        tasks = {run.task for run in self._running.values() if run.task and not run.task.done()}
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
        async with nullcontext() if self._peers.alone else self._engine.alone(f"{thread_id}:next"):
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
        if self._peers.alone:
            return here, []
        rows = await self._rows.unfinished(thread_id=thread_id)
        return here, [row for row in rows if row.run_id not in self._running]

    async def _unfinished_elsewhere(
        self, run_ids: Sequence[str], thread_id: str | None
    ) -> list[RunRow]:
        if self._peers.alone:
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
        await self._peers.tell(told)
        for row in rows:
            async for _ in self.ended(row):
                self._heard(told)
                await self._peers.tell(told)

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
            if (
                run.feed.end.number
            ):  # else its task has not begun, and a task cancelled then never does
                run.task.cancel()

    def leave(self, run_id: str, thread_id: str | None) -> None:
        """Tell a run to end, wherever it is, whose listener left and wanted it so."""
        if run := self._find(run_id, thread_id):
            self.stop(run)
        elif not self._peers.alone:
            told = {"cancel": [run_id], "action": "interrupt"}
            telling = asyncio.create_task(self._peers.tell(told))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

    async def _execute(self, run: Running) -> None:
        """Run to the end, whatever it is; nothing is raised."""
        about = {"run_id": run.row.run_id, "attempt": run.feed.attempt}
        run.feed.publish("metadata", self._dumps(about))
        try:
            if run.cancelled:
                raise asyncio.CancelledError  # noqa: TRY301 - as if it had come a moment later
            due = run.row.created_at + timedelta(seconds=run.request.after_seconds)
            if (delay := (due - datetime.now(UTC)).total_seconds()) > 0:
                await asyncio.sleep(delay)
            await self._run(run)
        except asyncio.CancelledError:
            if run.cancelled is None:
                run.cancelled = "interrupt"  # the service ends
        except GeneratorExit:  # the loop is closed, and nobody waits any more
            raise
        except BaseException as error:  # nodes raise what they like, and the thread is not theirs
            run.error, run.error_id = error, uuid4().hex
            self._tell(run, error)
        # Cancelled once, the task still has to write down how the run ended.
        ending = asyncio.create_task(self._end(run))
        while not ending.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(ending)

    async def _run(self, run: Running) -> None:
        request, parts = run.request, Parts(run.request.stream_mode)
        asked = _command(request.command) if request.command else request.input
        spoken = False

        async def emit(part: Part) -> None:
            nonlocal spoken
            if run.row.status == "pending":
                self._begun(run)
            for name, data in parts.named(part):
                run.feed.publish(name, self._dumps(data))
            if part.mode == "messages" and not spoken:
                spoken = True
                await asyncio.sleep(0)  # the first token leaves before the model says the next

        async def give_up() -> None:
            if run.cancelled == "rollback":
                await self._engine.undo(run.thread_id, run.row.run_id)

        turn = Turn(
            graph=run.assistant.graph_id,
            input=asked,
            resumes=run.row.run_id if run.resumes else None,
            thread_id=run.thread_id,
            context=self._context(run),
            config=self._config(run),
            stream_modes=graph_modes(request.stream_mode),
            events="events" in request.stream_mode,
            subgraphs=request.stream_subgraphs,
            interrupt_before=request.interrupt_before,
            interrupt_after=request.interrupt_after,
            durability=request.durability or (None if request.lasting else "exit"),
            wait=_ENQUEUED_SECONDS,
            history=False,
            on_cancel=give_up,
        )
        run.outcome = await self._engine.run(turn, emit)

    def _begun(self, run: Running) -> None:
        run.row.status = "running"
        if run.request.lasting:
            self._rows.update(run.row, "running", self._threads.begun(run.thread_id, run.assistant))

    def _context(self, run: Running) -> dict[str, Any]:
        """What the graph may choose from: clients from before LangGraph 0.6 say it in the config.

        A graph that does not say what it takes is given everything.
        """
        takes = self._engine.graphs.context_fields(run.assistant.graph_id)
        said = _without_place(run.request.config.get("configurable", {}))
        chosen = {key: value for key, value in said.items() if not takes or key in takes}
        return {**run.assistant.context, **chosen, **run.request.context}

    def _config(self, run: Running) -> dict[str, Any]:
        request, config = run.request, {**run.assistant.config, **run.request.config}
        about = {
            "run_id": run.row.run_id,
            "graph_id": run.assistant.graph_id,
            "assistant_id": run.assistant.assistant_id,
        }
        place = {"checkpoint_id": request.checkpoint_id, **(request.checkpoint or {})}
        configurable = {
            **_without_place(run.assistant.config.get("configurable", {})),
            **_without_place(request.context),  # graphs from before LangGraph 0.6 look here
            **request.config.get("configurable", {}),
            **about,
            **{key: value for key, value in place.items() if value and key != "thread_id"},
        }
        metadata = {
            **run.row.metadata,
            **config.get("metadata", {}),
            "run_id": run.row.run_id,  # by which what it did is found again, and undone
            "run_attempt": run.feed.attempt,
        }
        return {
            **config,
            "configurable": configurable,
            "metadata": metadata,
            "run_id": UUID(run.row.run_id),
            "run_name": config.get("run_name") or run.assistant.graph_id,
        }

    def _tell(self, run: Running, error: BaseException) -> None:
        run.feed.publish("error", self._dumps(run.told), logged=not run.goes_on_elsewhere)
        known = isinstance(error, RunError)
        log.warning(
            "run_failed",
            run_id=run.row.run_id,
            thread_id=run.thread_id,
            error=type(error).__name__,
            error_id=run.error_id,
            exc_info=None if known else error,
        )

    async def _end(self, run: Running) -> None:
        """Commit how it ended, then let those go who wait."""
        begins_anew = False
        try:
            if run.cancelled == "rollback":
                await self._undo(run)
            elif run.goes_on_elsewhere:
                # Its row still says that it is under way. Who has lost the thread to another run,
                # and not the run to another process, begins anew.
                lost_thread = isinstance(run.error, StaleWriter)
                begins_anew = lost_thread and await self._rows.is_mine(run.row.run_id)
            elif run.request.lasting:
                ended = replace(run.row)  # who asks is told of the end once it is committed
                await self._rows.update(ended, _status(run), await self._stands(run))
                run.row = ended
            else:
                run.row.status = _status(run)
                await self._engine.drop(run.thread_id)
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
            asyncio.get_running_loop().call_later(_REMEMBERED_SECONDS, self._forget, run)
        if begins_anew:
            await self._go_on(run.row)
        elif run.request.webhook and not run.goes_on_elsewhere:
            body = self._dumps(_ended(run))
            self._webhooks.send(run.request.webhook, run.row.run_id, body)

    async def _stands(self, run: Running) -> Row:
        if run.error:
            return self._threads.failed(run.thread_id, run.told)
        return await self._threads.ended(run.thread_id, run.assistant, run.outcome)

    async def _undo(self, run: Running) -> None:
        # Done before its thread was let go, unless this attempt never held it, or that failed.
        await self._engine.undo(run.thread_id, run.row.run_id)
        if run.request.lasting:
            await self._rows.update(run.row, "interrupted", await self._stands(run))
            await self._rows.delete(run.row.run_id)
        self._forget(run)

    def _forget(self, run: Running) -> None:
        if self._running.get(run.row.run_id) is run:
            del self._running[run.row.run_id]


def _words(error: BaseException | None) -> str:
    try:
        return str(error)
    except Exception as nested:  # of its own `__str__`
        return f"It cannot be told: {type(nested).__name__}"


def _without_place(configurable: Mapping[str, Any]) -> dict[str, Any]:
    """An assistant is of no thread: only a request says where to run."""
    place = {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"}
    return {key: value for key, value in configurable.items() if key not in place}


def _ended(run: Running) -> dict[str, Any]:
    """What a webhook tells, in LangGraph's words."""
    now = datetime.now(UTC)
    return {
        **{name: getattr(run.row, name) for name in COLUMNS},
        "run_started_at": run.began,
        "run_ended_at": run.row.updated_at,
        "webhook_sent_at": now,
        "values": run.outcome.values if run.outcome else None,
        "error": run.told if run.error else None,
    }


def _status(run: Running) -> RunStatus:
    if run.cancelled is not None:
        return "interrupted"
    if isinstance(run.error, TurnTimeout):
        return "timeout"
    return "error" if run.error else "success"


def _command(asked: Mapping[str, Any]) -> Command[Any]:
    goto = asked.get("goto") or ()
    several = goto if isinstance(goto, list) else [goto] if goto else []
    targets = [Send(to["node"], to.get("input")) if isinstance(to, dict) else to for to in several]
    update = asked.get("update")
    if isinstance(update, list) and all(isinstance(pair, list) for pair in update):
        update = [tuple(pair) for pair in update]
    chosen = {key: asked[key] for key in ("resume",) if key in asked}
    return Command(goto=targets, update=update, **chosen)
