"""Carrying out a run: its turn, its events, and the rows that say how it ended.

delay -> engine.run, each part to the feed -> rows of run and thread committed
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol
from uuid import UUID, uuid4

from langgraph.types import Command, Send, StateSnapshot
from structlog import get_logger

from everturn.checkpoints.errors import StaleWriter
from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.runs import RunRow, RunRows
from everturn.server.errors import RunError, ShuttingDown
from everturn.server.runs.request import RunRequest
from everturn.server.runs.run import Running
from everturn.server.streams.modes import Parts, graph_modes
from everturn.server.turns.engine import Engine, Part, Turn
from everturn.server.turns.outcome import Outcome

log = get_logger(__name__)

_ENQUEUED_SECONDS = 86_400.0
"""How long a run waits for those before it on its thread."""

_LONG_WAIT = 0.5
"""Seconds: whoever has waited so long for a thread may have it because its holder died."""

Dumps = Callable[[Any], bytes]


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

    def ended(self, thread_id: str, state: StateSnapshot | None) -> Row:
        """The row that says how the thread stands after a run that did not fail."""
        ...

    async def error(self, thread_id: str) -> Mapping[str, Any]:
        """What the newest run that failed on a thread failed with."""
        ...


class _OthersFirst(Exception):
    """The thread was had out of turn: runs that came before wait to go on, or to be taken over."""

    def __init__(self, others: Sequence[RunRow]) -> None:
        super().__init__()
        self.others = others


class Execution:
    """Carries out runs."""

    def __init__(
        self,
        engine: Engine,
        rows: RunRows,
        threads: Threads,
        until_ended: Callable[[RunRow], Awaitable[None]],
        dumps: Dumps,
    ) -> None:
        """Wire it up.

        Args:
            engine: runs turns.
            rows: of runs.
            threads: their rows.
            until_ended: waits for the end of a run, wherever it is.
            dumps: turns an event's data into JSON.
        """
        self._engine = engine
        self._rows = rows
        self._threads = threads
        self._until_ended = until_ended
        self._dumps = dumps

    def check(self, request: RunRequest, assistant: Assistant) -> None:
        """Refuse at once what holds pictures or files that cannot be sent: they are large to keep.

        Everything else is checked when it runs, as LangGraph's own server does.
        """
        if _has_blocks(request.input):
            context = self._context(request, assistant)
            self._engine.check(Turn(assistant.graph_id, request.input, context=context))

    async def carry_out(self, run: Running) -> None:
        """Run to the end, whatever it is; nothing is raised."""
        about = {"run_id": run.row.run_id, "attempt": run.feed.attempt}
        run.feed.publish("metadata", self._dumps(about))
        try:
            if run.cancelled:
                raise asyncio.CancelledError  # noqa: TRY301 - as if it had come a moment later
            if (delay := (due_at(run.row) - datetime.now(UTC)).total_seconds()) > 0:
                await asyncio.sleep(delay)
            await self._run(run)
        except asyncio.CancelledError:
            if run.cancelled is None:
                self._tell(run, ShuttingDown("The service is being stopped."))
        except GeneratorExit:  # the loop is closed, and nobody waits any more
            raise
        except BaseException as error:  # nodes raise what they like, and the thread is not theirs
            self._tell(run, error)

    async def settle(self, run: Running) -> int | None:
        """Commit how a run ended; a number for one that has to begin anew: which attempt it is.

        Its row goes on saying that it is under way, where another process goes on with it. Who has
        lost the thread to another run, and not the run to another process, begins anew.
        """
        if run.goes_on_elsewhere:
            if isinstance(run.error, StaleWriter):
                return await self._rows.begin_anew(run.row.run_id)
            return None
        if run.cancelled == "rollback":
            # Done before its thread was let go, unless this attempt never held it, or that failed.
            await self._engine.undo(run.thread_id, run.row.run_id)
        ended = replace(run.row)  # who asks is told of the end once it is committed
        if run.request.lasting:
            await self._rows.update(ended, run.status, *self._stands(run))
        else:
            ended.status = run.status
            await self._engine.drop(run.thread_id)
        if run.request.recorded and (run.cancelled == "rollback" or not run.request.lasting):
            await self._rows.delete(run.row.run_id)
        run.row = ended
        return None

    def _stands(self, run: Running) -> list[Row]:
        """How the thread stands; one that the run never held is for others to say."""
        if run.error:
            return [self._threads.failed(run.thread_id, run.told)]
        if run.outcome is None:
            return []
        return [self._threads.ended(run.thread_id, run.stands)]

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
            input=asked,
            resumes=run.row.run_id if run.resumes else None,
            thread_id=run.thread_id,
            context=self._context(run.request, run.assistant),
            config=self._config(run),
            stream_modes=graph_modes(request.stream_mode),
            events="events" in request.stream_mode,
            subgraphs=request.stream_subgraphs,
            interrupt_before=request.interrupt_before,
            interrupt_after=request.interrupt_after,
            durability=request.durability or (None if request.lasting else "exit"),
            wait=_ENQUEUED_SECONDS,
            history=False,
            on_begin=partial(self._wait_turn, run, asyncio.get_running_loop().time()),
            on_end=partial(self._let_go, run),
        )
        while run.outcome is None:
            try:
                run.outcome = await self._engine.run(turn, emit)
            except _OthersFirst as first:
                for row in first.others:
                    await self._until_ended(row)

    async def _let_go(self, run: Running, outcome: Outcome | None) -> None:
        """Leave the thread as the next one may find it, and look how it stands."""
        if run.cancelled == "rollback":
            await self._engine.undo(run.thread_id, run.row.run_id)
        if run.request.lasting and (outcome is None or outcome.may_wait):
            state = await self._engine.state(run.assistant.graph_id, run.thread_id)
            run.stands, run.outcome = state, Outcome(state.values)

    async def _wait_turn(self, run: Running, asked_at: float) -> None:
        """Let go of a thread that was had because a process died: its run comes first."""
        if asyncio.get_running_loop().time() - asked_at < _LONG_WAIT or not run.request.lasting:
            return
        others = await self._rows.unfinished(thread_id=run.thread_id)
        now = datetime.now(UTC)
        before = [row for row in others if row.run_id < run.row.run_id and due_at(row) <= now]
        if before:
            raise _OthersFirst(before)

    def _begun(self, run: Running) -> None:
        run.row.status = "running"
        if run.request.recorded:
            self._rows.update(run.row, "running", self._threads.begun(run.thread_id, run.assistant))

    def _context(self, request: RunRequest, assistant: Assistant) -> dict[str, Any]:
        """What the graph may choose from: clients from before LangGraph 0.6 say it in the config.

        A graph that does not say what it takes is given everything.
        """
        takes = self._engine.graphs.context_fields(assistant.graph_id)
        said = _without_place(request.config.get("configurable", {}))
        chosen = {key: value for key, value in said.items() if not takes or key in takes}
        return {**assistant.context, **chosen, **request.context}

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
        run.error, run.error_id = error, uuid4().hex
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


def _has_blocks(given: Any) -> bool:
    messages = given.get("messages") if isinstance(given, dict) else None
    several = messages if isinstance(messages, list) else [messages]
    return any(isinstance(m, dict) and isinstance(m.get("content"), list) for m in several)


def due_at(row: RunRow) -> datetime:
    """When a run may begin."""
    return row.created_at + timedelta(seconds=row.kwargs.get("after_seconds") or 0)


def _without_place(configurable: Mapping[str, Any]) -> dict[str, Any]:
    """An assistant is of no thread: only a request says where to run."""
    place = {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"}
    return {key: value for key, value in configurable.items() if key not in place}


def _command(asked: Mapping[str, Any]) -> Command[Any]:
    goto = asked.get("goto") or ()
    several = goto if isinstance(goto, list) else [goto] if goto else []
    targets = [Send(to["node"], to.get("input")) if isinstance(to, dict) else to for to in several]
    update = asked.get("update")
    if isinstance(update, list) and all(isinstance(pair, list) for pair in update):
        update = [tuple(pair) for pair in update]
    chosen = {key: asked[key] for key in ("resume",) if key in asked}
    return Command(goto=targets, update=update, **chosen)
