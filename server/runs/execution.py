"""What a run is made of: its turn, its events, and the rows that say how it ended.

    due? -> hold the thread -> are others first? -> run, each part to the feed -> leave the thread
    -> rows of run, thread and history committed

The only place that runs turns.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID, uuid4

from langgraph.types import Command, Send, StateSnapshot
from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError, StaleWriter
from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.history import FinishedTurn, turn_finished
from everturn.checkpoints.sql.runs import RunRow, RunRows
from everturn.checkpoints.sql.threads import Thread
from everturn.server.access.caller import caller_config, without_caller
from everturn.server.errors import (
    InvalidAnswer,
    InvalidInput,
    NothingWaits,
    RunError,
    ShuttingDown,
    ThreadNotFound,
)
from everturn.server.runs.admission import Admission
from everturn.server.runs.elsewhere import Elsewhere
from everturn.server.runs.here import Here
from everturn.server.runs.request import RunRequest
from everturn.server.runs.run import Run
from everturn.server.runs.webhooks import Webhooks
from everturn.server.streams.modes import Parts, graph_modes
from everturn.server.turns.engine import Engine, Hold
from everturn.server.turns.memory import ThreadMemory
from everturn.server.turns.outcome import Outcome, readable
from everturn.server.turns.turn import Checked, Turn

log = get_logger(__name__)

_CHANGED_NOTHING = (NothingWaits, InvalidAnswer)
_ENQUEUED_SECONDS = 86_400.0
"""How long a run waits for those before it on its thread."""

_LONG_WAIT = 0.5
"""Seconds: a run that waited so long for its thread may have it because the holder died."""

_SHORT = 0.03
"""Seconds: that a run is under way is written only if it takes longer. A commit costs its process
as much as two tokens, and most would come when the run has ended."""

_DELETION_SECONDS = 10.0
"""In which a thread that is being deleted is gone, after the ends of its runs."""

_BYTES_AT_ONCE = 262_144
"""Of what a run streams: so many are written before the loop serves others."""

Dumps = Callable[[Any], bytes]


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


class Execution:
    """Executes runs."""

    def __init__(
        self,
        engine: Engine,
        memory: ThreadMemory,
        rows: RunRows,
        threads: Threads,
        here: Here,
        elsewhere: Elsewhere,
        dumps: Dumps,
        admission: Admission,
        webhooks: Webhooks,
    ) -> None:
        """Wire it up; `dumps` makes JSON of an event's data."""
        self._engine = engine
        self._memory = memory
        self._rows = rows
        self._threads = threads
        self._here = here
        self._elsewhere = elsewhere
        self._dumps = dumps
        self._admission = admission
        self._webhooks = webhooks

    def check(self, request: RunRequest, assistant: Assistant) -> Checked | None:
        """Refuse at once what cannot be run, where a client waits for it; see `RunRequest`.

        What holds pictures or files that cannot be sent is always refused: it is large to keep.
        """
        if not (request.interactive or _has_blocks(request.input)):
            return None
        if request.input == {}:
            raise InvalidInput(f"The input for the graph {assistant.graph_id!r} is empty.")
        context = self._context(request, assistant)
        return self._engine.check(Turn(assistant.graph_id, _input(request), context=context))

    async def execute(self, run: Run) -> None:
        """Run to the end, whatever it is; nothing is raised."""
        about = {"run_id": run.row.run_id, "attempt": run.feed.attempt}
        run.feed.publish("metadata", self._dumps(about))
        try:
            if run.cancelled:
                raise asyncio.CancelledError  # noqa: TRY301 - as if it had come a moment later
            if (delay := (due_at(run.row) - datetime.now(UTC)).total_seconds()) > 0:
                await asyncio.sleep(delay)
            async with self._hold(run) as held:
                run.held = True
                if run.request.background:
                    await self._admission.background()  # its thread is its own: none overtakes it
                self._started(run)
                await self._run(run, held)
        except asyncio.CancelledError:
            if run.cancelled is None:
                self._fail(run, ShuttingDown("The service is being stopped."))
        except GeneratorExit:  # the loop is closed, and no client waits any more
            raise
        except BaseException as error:  # nodes raise what they like, and the thread is not theirs
            self._fail(run, error)

    @asynccontextmanager
    async def _hold(self, run: Run) -> AsyncIterator[Hold]:
        """Hold a run's thread; the runs that came before it have ended then."""
        request = run.request
        thread_id = None if request.without_memory else run.thread_id
        wait = None if request.interactive else _ENQUEUED_SECONDS
        now = asyncio.get_running_loop().time
        asked_at = now()
        while True:
            async with self._engine.hold_for_turn(thread_id, wait) as held:
                # Locks are given in the order they were asked for; only the death of a holder
                # gives one out of turn, after its lease. So most runs need not look.
                long = now() - asked_at > _LONG_WAIT and request.lasting
                others = await self._before(run) if long else []
                if not others:
                    await self._check_thread(run)
                    yield held
                    return
            for row in others:
                await self._elsewhere.until_ended(row)

    async def _check_thread(self, run: Run) -> None:
        """Refuse to run on a thread that was deleted while the run waited for it."""
        if not (run.request.lasting and self._here.may_be_deleted(run.thread_id)):
            return
        if await self._threads.get(run.thread_id) is None:
            raise ThreadNotFound(f"The thread {run.thread_id} was deleted.")

    async def _before(self, run: Run) -> list[RunRow]:
        """The runs that came before on the thread, and wait to go on or to be taken over.

        Not those of this process that have left the thread: only their end is still written.
        """
        others = await self._rows.unfinished(thread_id=run.thread_id)
        now = datetime.now(UTC)
        return [
            row
            for row in others
            if row.run_id < run.row.run_id
            and due_at(row) <= now
            and not ((there := self._here.find(row.run_id, run.thread_id)) and there.held)
        ]

    async def _run(self, run: Run, held: Hold) -> None:
        """Run the turn, and leave the thread as the next one may find it."""
        outcome, parts = Outcome(), Parts(run.request.stream_mode)
        spoken, published = False, 0
        try:
            turn = await self._turn(run)
            if _updates_latest(run.request) and turn.thread_id:
                chosen = configurable_of(run.assistant, run.request)
                await self._memory.apply_updates(turn.graph, turn.thread_id, held.fence, chosen)
            running = self._engine.run_held(turn, held, outcome, run.checked)
            async with aclosing(running):
                async for part in running:
                    for name, data in parts.named(part):
                        written = self._dumps(data)
                        run.feed.publish(name, written)
                        published += len(written)
                    # The first token leaves before the next is made, and others are served between
                    # parts that lie ready: there the turn's deadline is looked at, too.
                    if (part.mode == "messages" and not spoken) or published > _BYTES_AT_ONCE:
                        spoken, published = spoken or part.mode == "messages", 0
                        await asyncio.sleep(0)
            run.outcome = outcome
        except asyncio.CancelledError:  # by a request, or at the end of the turn's time
            await self._leave(run)
            if run.cancelled:
                self._post_end(run)
            raise
        except _CHANGED_NOTHING as error:  # the thread is as it was
            self._fail(run, error)
            run.left = await self._state(run)
        except Exception as error:  # of a node
            self._fail(run, error)
            await self._mend(run, held)
        else:
            await self._leave(run)
        self._post_end(run)

    async def _mend(self, run: Run, held: Hold) -> None:
        """See to it that the next run on the thread can start."""
        if run.request.lasting and not isinstance(run.error, CheckpointsError):
            graph, chosen = run.assistant.graph_id, configurable_of(run.assistant, run.request)
            try:
                await self._memory.mend(graph, run.thread_id, held.fence, chosen)
            except Exception:  # of the run's error the client is informed, whatever this does
                log.exception("thread_not_mended", thread_id=run.thread_id)

    async def _leave(self, run: Run) -> None:
        """Undo what is to be undone, and look what the thread waits for."""
        if run.cancelled == "rollback":
            await self._memory.undo(run.thread_id, run.row.run_id)
        outcome = run.outcome
        if run.request.lasting and (outcome is None or outcome.may_wait):
            run.left = await self._state(run)
            if outcome is None:
                run.outcome = Outcome(run.left.values)

    async def _state(self, run: Run) -> StateSnapshot:
        chosen = configurable_of(run.assistant, run.request)
        return await self._memory.state(run.assistant.graph_id, run.thread_id, chosen)

    async def store_end(self, run: Run) -> int | None:
        """Commit how a run ended; the number of its next attempt where it has to start again.

        Its row goes on saying that it is under way where another process goes on with it. A run
        that lost its thread to another one, but not its row to another process, starts again.
        """
        if run.goes_on_elsewhere:
            if isinstance(run.error, StaleWriter):
                return await self._rows.begin_anew(run.row.run_id)
            return None
        request = run.request
        if run.cancelled == "rollback":
            # Done before its thread was left, unless this attempt never held it, or that failed.
            await self._memory.undo(run.thread_id, run.row.run_id)
        self._post_end(run)
        if run.end is not None:
            await run.end
        if run.on_own_thread:
            await self._memory.forget(run.thread_id)
        gone = run.cancelled == "rollback" or isinstance(run.error, ThreadNotFound)
        if not request.lasting and (request.recorded or request.webhook):
            await self._rows.delete(run.row.run_id, *self._report(run))
        elif request.recorded and gone:
            await self._rows.delete(run.row.run_id)
        run.row = run.ended or replace(run.row, status=run.status)
        return None

    def _post_end(self, run: Run) -> None:
        """Have the end written once, while the thread is held: the next run starts after it."""
        if run.start is not None:
            run.start.cancel()
        if run.end is None and run.request.lasting and not run.goes_on_elsewhere:
            run.ended = replace(run.row)
            run.end = self._rows.update(
                run.ended, run.status, *self._changes(run), *self._report(run)
            )

    def _changes(self, run: Run) -> list[Row]:
        """What is committed with a run's end: its thread's status, and its turn's history."""
        if not run.held:  # its thread is another run's
            return []
        if run.error and not isinstance(run.error, _CHANGED_NOTHING):
            return [self._threads.failed(run)]
        rows = [self._threads.ended(run, run.left)]
        if run.request.history and run.status == "success" and run.outcome:
            finished = _finished(run, run.outcome)
            rows += [turn_finished(finished)] if finished else []
        return rows

    def _report(self, run: Run) -> list[Row]:
        """The webhook that reports a run's end, which is sent once that is committed."""
        url = run.request.webhook
        if not url or isinstance(run.error, ThreadNotFound):
            return []
        # A thread that is being deleted takes it along, unless it is there again by then.
        wait = _DELETION_SECONDS if self._here.may_be_deleted(run.thread_id) else 0
        about = {**run.of_thread, **run.row.metadata}
        return self._webhooks.row(url, run.webhook_payload(), self._dumps, about, wait=wait)

    async def _turn(self, run: Run) -> Turn:
        """What the engine is asked: the run's input, or to go on from where it was left.

        Raises:
            NothingWaits: what it answers was answered by another run.
        """
        request = run.request
        if request.answers is not None:
            waiting = await self._memory.waiting(run.thread_id)
            if waiting is None or request.answers not in {i.id for i in waiting.interrupts}:
                raise NothingWaits("What this answers has been answered, or given up, meanwhile.")
        goes_on = run.resumes and await self._memory.is_newest(run.thread_id, run.row.run_id)
        return Turn(
            graph=run.assistant.graph_id,
            input=None if goes_on else _input(request),
            thread_id=None if request.without_memory else run.thread_id,
            context=self._context(request, run.assistant),
            config=self._config(run),
            stream_modes=graph_modes(request.stream_mode),
            ttl=run.ttl,
            events="events" in request.stream_mode,
            subgraphs=request.stream_subgraphs,
            interrupt_before=request.interrupt_before,
            interrupt_after=request.interrupt_after,
            durability=request.durability or ("exit" if run.on_own_thread else None),
        )

    def _started(self, run: Run) -> None:
        """Have it written that a run is under way, unless it has ended by then."""
        run.row.status = "running"
        if run.request.recorded:
            loop = asyncio.get_running_loop()
            run.start = loop.call_later(_SHORT, self._post_start, run)

    def _post_start(self, run: Run) -> None:
        run.start = None
        self._rows.update(run.row, "running", self._threads.busy(run))

    def _context(self, request: RunRequest, assistant: Assistant) -> dict[str, Any]:
        """What the graph may choose from: clients from before LangGraph 0.6 say it in the config.

        A graph that does not say what it takes is given everything.
        """
        if request.interactive:
            return {**assistant.context, **request.context}
        takes = self._engine.graphs.context_fields(assistant.graph_id)
        said = _without_place(request.config.get("configurable", {}))
        chosen = {key: value for key, value in said.items() if not takes or key in takes}
        return {**assistant.context, **chosen, **request.context}

    def _config(self, run: Run) -> dict[str, Any]:
        request, config = run.request, {**run.assistant.config, **run.request.config}
        about = {
            "run_id": run.row.run_id,
            "graph_id": run.assistant.graph_id,
            "assistant_id": run.assistant.assistant_id,
        }
        place = {"checkpoint_id": request.checkpoint_id, **(request.checkpoint or {})}
        configurable = {
            # What a client says of this one counts, as with LangGraph's server.
            **({"user_id": run.caller.identity} if run.caller else {}),
            **configurable_of(run.assistant, request),
            **caller_config(run.caller),
            **about,
            **{key: value for key, value in place.items() if value and key != "thread_id"},
        }
        metadata = {
            **run.of_thread,
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

    def _fail(self, run: Run, error: BaseException) -> None:
        run.error, run.error_id = error, uuid4().hex
        run.feed.publish("error", self._dumps(run.failure), logged=not run.goes_on_elsewhere)
        known = isinstance(error, RunError)
        log.warning(
            "run_failed",
            run_id=run.row.run_id,
            thread_id=run.thread_id,
            error=type(error).__name__,
            error_id=run.error_id,
            exc_info=None if known else error,
        )


def _finished(run: Run, outcome: Outcome) -> FinishedTurn | None:
    """The history row of a turn; None for one that waits, or in which nothing was said."""
    question, answer = outcome.question, outcome.answer
    if question is None or answer is None or outcome.interrupts:
        return None
    return FinishedTurn(
        session_id=run.thread_id,
        user_message=readable(question),
        assistant_message=answer.text,
        tools_used=outcome.tools_used,
        model_used=outcome.route["model"] or "",
        tokens_used=outcome.usage["total_tokens"],
        cost=outcome.cost,
        metadata={"graph": run.assistant.graph_id, "route": outcome.route},
    )


def _updates_latest(request: RunRequest) -> bool:
    """Whether it is a command that changes the latest state of its thread."""
    forks = request.checkpoint_id or (request.checkpoint or {}).get("checkpoint_id")
    return bool(request.command and request.command.get("update") and not forks)


def _has_blocks(given: Any) -> bool:
    messages = given.get("messages") if isinstance(given, dict) else None
    several = messages if isinstance(messages, list) else [messages]
    return any(isinstance(m, dict) and isinstance(m.get("content"), list) for m in several)


def due_at(row: RunRow) -> datetime:
    """When a run may start."""
    return row.created_at + timedelta(seconds=row.kwargs.get("after_seconds") or 0)


def configurable_of(assistant: Assistant, request: RunRequest) -> dict[str, Any]:
    """What an assistant and a request say in `config.configurable`.

    Graphs from before LangGraph 0.6 look for their context here. It would be in the metadata of
    each checkpoint, too; the routes of our own are younger than that.
    """
    context = {} if request.interactive else _without_place(request.context)
    return {
        **_without_place(assistant.config.get("configurable", {})),
        **context,
        **without_caller(request.config.get("configurable", {})),
    }


def _without_place(configurable: Mapping[str, Any]) -> dict[str, Any]:
    """An assistant is of no thread, and of no caller: only a request says where to run."""
    place = {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"}
    said = without_caller(configurable)
    return {key: value for key, value in said.items() if key not in place}


def _input(request: RunRequest) -> Any:
    return _command(request.command) if request.command else request.input


def _command(asked: Mapping[str, Any]) -> Command[Any]:
    goto = asked.get("goto") or ()
    several = goto if isinstance(goto, list) else [goto] if goto else []
    targets = [Send(to["node"], to.get("input")) if isinstance(to, dict) else to for to in several]
    update = asked.get("update")
    if isinstance(update, list) and all(isinstance(pair, list) for pair in update):
        update = [tuple(pair) for pair in update]
    chosen = {key: asked[key] for key in ("resume",) if key in asked}
    return Command(goto=targets, update=update, **chosen)
