"""Runs: started where they arrive, in tasks of their own, so that a client may leave.

    create -> thread there? strategy? -> row posted -> task: engine.run -> events to the feed
           -> rows of run and thread committed -> feed closed -> whoever waits is woken

A run's row is written while it runs, and its end is acknowledged after the commit. Runs of other
processes are seen through their rows and read through the event log.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

from langchain_core.utils.uuid import uuid7
from langgraph.types import Command, Send
from structlog import get_logger

from checkpoints.assistants import Assistant
from checkpoints.errors import ThreadBusy
from checkpoints.group_commit import Row
from checkpoints.runs import UNFINISHED, RunRow, RunRows, RunStatus
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
from server.runs.feed import Cursor, Event, Feed, Log, replay
from server.runs.outcome import Outcome
from server.runs.parts import Parts, graph_modes
from server.runs.run import RunRequest

log = get_logger(__name__)

CancelAction = Literal["interrupt", "rollback"]

_ENQUEUED_SECONDS = 86_400.0
"""How long a run waits for those before it on its thread."""

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

    async def open(self, thread_id: str, assistant: Assistant, *, create: bool) -> bool:
        """See that a thread is there and known to be of this graph; False where it is not."""
        ...

    def begun(self, thread_id: str, assistant: Assistant) -> Row:
        """The row that says that a run is under way."""
        ...

    async def ended(
        self,
        thread_id: str,
        assistant: Assistant,
        outcome: Outcome | None,
        error: Mapping[str, Any] | None,
    ) -> Row:
        """The row that says how the thread stands after a run."""
        ...


@dataclass(eq=False, slots=True)
class Running:
    """A run of this process, until shortly after its end."""

    row: RunRow
    request: RunRequest
    assistant: Assistant
    feed: Feed
    resumes: bool = False
    """It was under way when its process died: it goes on from its last checkpoint."""
    written: Awaitable[None] | None = None
    task: asyncio.Task[None] | None = None
    outcome: Outcome | None = None
    error: Exception | None = None
    cancelled: CancelAction | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def thread_id(self) -> str:
        """The thread it runs on."""
        return self.row.thread_id

    @property
    def told(self) -> dict[str, str]:
        """How it failed, in LangGraph's words: the error's class and text."""
        error = self.error
        if isinstance(error, InvalidInput) and error.__cause__ is not None:
            error = error.__cause__  # type: ignore[assignment]  # what we raise from is an Exception
        return {"error": type(error).__name__, "message": str(error)}


class Runs:
    """Starts, follows and ends runs."""

    def __init__(
        self,
        engine: Engine,
        rows: RunRows,
        events: Log,
        assistants: Assistants,
        threads: Threads,
        dumps: Dumps,
    ) -> None:
        """Wire it up; `dumps` turns an event's data into JSON, with what is private left out."""
        self._engine = engine
        self._rows = rows
        self._events = events
        self._assistants = assistants
        self._threads = threads
        self._dumps = dumps
        self._running: dict[str, Running] = {}
        self._of_thread: dict[str, list[Running]] = {}

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
            if not await self._threads.open(thread_id, assistant, create=create):
                raise ThreadNotFound("Thread or assistant not found.")
        await self._make_way(thread_id, request)
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
        self._start(run)
        return run

    async def acknowledge(self, run: Running) -> RunRow:
        """Wait until a run that goes on in the background is written down."""
        if run.written is not None:
            await run.written
        return run.row

    async def recover(self) -> None:
        """Go on with the runs that were under way when this service's only process died."""
        for row in await self._rows.unfinished():
            try:
                assistant = await self._assistants.resolve(row.assistant_id)
                request = RunRequest.of_kwargs(row.thread_id, row.assistant_id, row.kwargs)
                attempt = await self._events.last_attempt(row.run_id) + 1
                feed = Feed(row.run_id, self._events, attempt)
                resumes = await self._engine.begun(row.thread_id, row.run_id)
            except Exception:
                log.exception("run_not_recovered", run_id=row.run_id)
                self._rows.update(row, "error")
                continue
            log.info("run_recovered", run_id=row.run_id, attempt=attempt)
            self._start(Running(row, request, assistant, feed, resumes))

    def _start(self, run: Running) -> None:
        self._running[run.row.run_id] = run
        self._of_thread.setdefault(run.thread_id, []).append(run)
        run.task = asyncio.create_task(self._execute(run), name=f"run {run.row.run_id}")

    async def wait(self, run: Running) -> None:
        """Wait for a run's end, and for its rows to be committed."""
        await run.done.wait()

    async def find(self, run_id: str, thread_id: str | None) -> Running | RunRow:
        """Return a run, as it runs here or as its row says.

        Raises:
            RunNotFound: there is none.
        """
        return self._find(run_id, thread_id) or await self.get(run_id, thread_id)

    async def final_state(self, row: RunRow) -> Any:
        """Return the state of a run's thread."""
        return (await self._engine.state(str(row.metadata["graph_id"]), row.thread_id)).values

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
        return replay(self._events, run_id, after) if after is not None else _nothing()

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
        found = [run for run_id in run_ids if (run := self._find(run_id, thread_id))]
        found = [run for run in found if not run.done.is_set()]
        if not found:
            raise NothingToCancel(
                "No matching runs to cancel. Please verify the thread ID and run IDs are correct, "
                "and the runs haven't been deleted or completed."
            )
        for run in found:
            self.stop(run, action)
        if wait:
            for run in found:
                await run.done.wait()

    async def cancel_all(self, status: Literal["pending", "running", "all"]) -> None:
        """Stop all runs of this process that stand so."""
        wanted = UNFINISHED if status == "all" else (status,)
        for run in list(self._running.values()):
            if not run.done.is_set() and run.row.status in wanted:
                self.stop(run, "interrupt")

    async def cancel_thread(self, thread_id: str) -> None:
        """Stop all runs of a thread, and wait for their ends."""
        runs = [run for run in self._of_thread.get(thread_id, ()) if not run.done.is_set()]
        for run in runs:
            self.stop(run)
        for run in runs:
            await run.done.wait()

    async def delete(self, run_id: str, thread_id: str) -> None:
        """Delete a run that has ended.

        Raises:
            RunNotFound: there is none.
            ThreadBusy: it is under way.
        """
        row = await self.get(run_id, thread_id)
        run = self._find(run_id, thread_id)
        if run and not run.done.is_set():
            raise ThreadBusy(f"run {row.run_id!r} is under way: cancel it first")
        await self._rows.delete(run_id)
        self._running.pop(run_id, None)

    async def close(self) -> None:
        """Wait for the tasks of runs that were told to end."""
        tasks = {run.task for run in self._running.values() if run.task and not run.task.done()}
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    def _find(self, run_id: str, thread_id: str | None) -> Running | None:
        run = self._running.get(run_id)
        return run if run and thread_id in {None, run.thread_id} else None

    async def _make_way(self, thread_id: str, request: RunRequest) -> None:
        """Do with the thread's unfinished runs what the strategy says."""
        strategy = request.multitask_strategy
        others = [run for run in self._of_thread.get(thread_id, ()) if not run.done.is_set()]
        if strategy == "enqueue" or not others:
            return
        if strategy == "reject":
            raise ThreadBusy(
                f"thread {thread_id!r} has a run under way: wait for its end, or choose another "
                "multitask_strategy"
            )
        for run in others:
            self.stop(run, strategy)
        for run in others:
            await run.done.wait()

    def stop(self, run: Running, action: CancelAction = "interrupt") -> None:
        """Tell a run to end."""
        if run.cancelled is None and run.task is not None:
            run.cancelled = action
            run.task.cancel()

    async def _execute(self, run: Running) -> None:
        """Run to the end, whatever it is; nothing is raised."""
        about = {"run_id": run.row.run_id, "attempt": run.feed.attempt}
        run.feed.publish("metadata", self._dumps(about))
        try:
            if run.request.after_seconds:
                await asyncio.sleep(run.request.after_seconds)
            await self._run(run)
        except asyncio.CancelledError:
            if run.cancelled is None:
                run.cancelled = "interrupt"  # the service ends
        except Exception as error:
            run.error = error
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

        turn = Turn(
            graph=run.assistant.graph_id,
            input=None if run.resumes else asked,
            thread_id=run.thread_id,
            context={**run.assistant.context, **request.context},
            config=self._config(run),
            stream_modes=graph_modes(request.stream_mode),
            events="events" in request.stream_mode,
            subgraphs=request.stream_subgraphs,
            interrupt_before=request.interrupt_before,
            interrupt_after=request.interrupt_after,
            durability=request.durability or (None if request.lasting else "exit"),
            wait=_ENQUEUED_SECONDS,
            history=False,
        )
        run.outcome = await self._engine.run(turn, emit)

    def _begun(self, run: Running) -> None:
        run.row.status = "running"
        if run.request.lasting:
            self._rows.update(run.row, "running", self._threads.begun(run.thread_id, run.assistant))

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
            **request.config.get("configurable", {}),
            **about,
            **{key: value for key, value in place.items() if value and key != "thread_id"},
        }
        metadata = {
            **run.row.metadata,
            **config.get("metadata", {}),
            "run_attempt": run.feed.attempt,
        }
        return {
            **config,
            "configurable": configurable,
            "metadata": metadata,
            "run_id": UUID(run.row.run_id),
        }

    def _tell(self, run: Running, error: Exception) -> None:
        run.feed.publish("error", self._dumps(run.told))
        known = isinstance(error, RunError)
        log.warning(
            "run_failed",
            run_id=run.row.run_id,
            thread_id=run.thread_id,
            error=type(error).__name__,
            exc_info=None if known else error,
        )

    async def _end(self, run: Running) -> None:
        """Commit how it ended, then let those go who wait."""
        try:
            if run.cancelled == "rollback":
                await self._undo(run)
            elif isinstance(run.error, ShuttingDown):
                pass  # its row still says that it is under way: the next start goes on with it
            elif run.request.lasting:
                await self._rows.update(run.row, _status(run), await self._stands(run))
            else:
                run.row.status = _status(run)
                await self._engine.drop(run.thread_id)
        except Exception as error:
            log.exception("run_end_not_stored", run_id=run.row.run_id)
            run.error = run.error or error
        finally:
            run.feed.close()
            run.done.set()
            others = self._of_thread.get(run.thread_id, [])
            others.remove(run)
            if not others:
                self._of_thread.pop(run.thread_id, None)
            asyncio.get_running_loop().call_later(_REMEMBERED_SECONDS, self._forget, run)

    async def _stands(self, run: Running) -> Row:
        told = run.told if run.error else None
        return await self._threads.ended(run.thread_id, run.assistant, run.outcome, told)

    async def _undo(self, run: Running) -> None:
        await self._engine.undo(run.thread_id, run.row.run_id)
        if run.request.lasting:
            await self._rows.update(run.row, "interrupted", await self._stands(run))
            await self._rows.delete(run.row.run_id)
        self._forget(run)

    def _forget(self, run: Running) -> None:
        self._running.pop(run.row.run_id, None)


async def _nothing() -> AsyncGenerator[list[Event]]:
    nothing: tuple[list[Event], ...] = ()
    for events in nothing:
        yield events


def _without_place(configurable: Mapping[str, Any]) -> dict[str, Any]:
    """An assistant is of no thread: only a request says where to run."""
    place = {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"}
    return {key: value for key, value in configurable.items() if key not in place}


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
