"""What a run is made of: its turn, its events, and the rows that say how it ended.

    row there? -> due? -> hold the thread -> are others first? -> run, each part to the feed
    -> rows of run, thread and history committed -> leave the thread

The only place that runs turns.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

from langgraph.types import StateSnapshot
from structlog import get_logger

from everturn.checkpoints.away import Waiting, patiently, waits
from everturn.checkpoints.errors import (
    CheckpointsError,
    StaleWriter,
    StoreUnavailable,
    ThreadBusy,
    ValueRefused,
)
from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.history import FinishedTurn, turn_finished
from everturn.checkpoints.sql.idempotency import key_released
from everturn.checkpoints.sql.runs import RunRow, RunRows
from everturn.server.access.budgets import Budgets
from everturn.server.access.run_budget import RunBudget
from everturn.server.errors import (
    InvalidAnswer,
    InvalidInput,
    MemoryLost,
    NothingWaits,
    RunError,
    ShuttingDown,
    ThreadNotFound,
    error_id_of,
)
from everturn.server.runs.admission import Admission
from everturn.server.runs.asked import (
    configurable_of,
    context_of,
    has_blocks,
    input_of,
    turn_of,
    updates_latest,
)
from everturn.server.runs.delays import waiting_of
from everturn.server.runs.elsewhere import Elsewhere
from everturn.server.runs.here import Here
from everturn.server.runs.idempotency import Keys, releases_key
from everturn.server.runs.queue import Queue
from everturn.server.runs.request import RunRequest
from everturn.server.runs.run import Run
from everturn.server.runs.run_turns import Turns
from everturn.server.runs.slots import Slots
from everturn.server.runs.thread_rows import Threads
from everturn.server.runs.webhooks import Webhooks
from everturn.server.streams.feed import Dumps
from everturn.server.streams.modes import STANDING, SUMMARY
from everturn.server.turns.engine import Engine, Hold
from everturn.server.turns.lost_memory import fresh
from everturn.server.turns.memory import ThreadMemory
from everturn.server.turns.outcome import Outcome, answers_since, readable
from everturn.server.turns.turn import Checked, Turn

log = get_logger(__name__)

_CHANGED_NOTHING = (NothingWaits, InvalidAnswer)
_ENQUEUED_SECONDS = 86_400.0
"""How long a run waits for those before it on its thread."""

_LONG_WAIT = 0.05
"""Seconds: a run that waited so long for its thread may have it because the holder died, or before
one of another process that let others pass."""

_SHORT = 0.03
"""Seconds: that a run is under way is written only if it takes longer. A commit costs its process
as much as two tokens, and most would come when the run has ended."""

CLIENT_SECONDS = 1.7
"""After which a client that waits is told that the run's end cannot be stored at the moment."""
_FORGET_SECONDS = 0.5
"""How long the end of a run on a thread of its own waits until that is gone."""
_NOT_STORED = "The database does not answer."

_DELETION_SECONDS = 10.0
"""In which a thread that is being deleted is gone, after the ends of its runs."""


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
        slots: Slots,
        queue: Queue,
        lease: float,
        keys: Keys,
        webhooks: Webhooks,
        budgets: Budgets,
    ) -> None:
        """Wire it up; `dumps` makes JSON of an event's data.

        A process that is silent for `lease` seconds is dead, and its runs are others'.
        """
        self._engine = engine
        self._memory = memory
        self._turns = Turns(engine, memory, dumps)
        self._rows = rows
        self._threads = threads
        self._here = here
        self._elsewhere = elsewhere
        self._dumps = dumps
        self._admission = admission
        self._slots = slots
        self._queue = queue
        self._sure_for = lease / 2
        self._forgetting: set[asyncio.Task[None]] = set()
        self._keys = keys
        self._webhooks = webhooks
        self._budgets = budgets

    def check(self, request: RunRequest, assistant: Assistant) -> Checked | None:
        """Refuse at once what cannot be run, where a client waits for it; see `RunRequest`.

        What holds pictures or files that cannot be sent is always refused: it is large to keep.
        """
        if not (request.interactive or has_blocks(request.input)):
            return None
        if request.input == {}:
            raise InvalidInput(f"The input for the graph {assistant.graph_id!r} is empty.")
        context = context_of(self._engine.graphs, request, assistant)
        return self._engine.check(Turn(assistant.graph_id, input_of(request), context=context))

    async def admitted(self, request: RunRequest, assistant: Assistant) -> RunRequest:
        """Return a request with an input, and with updates, as they may be stored.

        Raises what `Engine.admitted` does.
        """
        name, command = assistant.graph_id, request.command
        given = await self._engine.admitted(name, request.input)
        if command and (update := command.get("update")):
            command = {**command, "update": await self._engine.admitted(name, update)}
        return replace(request, input=given, command=command)

    async def execute(self, run: Run) -> None:
        """Run to the end, whatever it is; nothing is raised."""
        try:
            await self._begin(run)
            # A client who waits for one turn is refused, where nothing of it is done yet.
            waiting = waiting_of(run, self._engine.store_wait, begun=not run.request.interactive)
            fresh.set(run.fresh)
            with waits(waiting):
                await self._run_on_thread(run)
        except asyncio.CancelledError:
            if run.cancelled is None and run.end is None:
                self._fail(run, ShuttingDown("The service is being stopped."))
        except GeneratorExit:  # the loop is closed, and no client waits any more
            raise
        except BaseException as error:  # nodes raise what they like, and the thread is not theirs
            if run.end is None:
                self._fail(run, error)

    async def _begin(self, run: Run) -> None:
        """Say that there is a run, once it is there for good, and wait until it is due."""
        if run.written is not None:
            said = await asyncio.shield(run.written)
            run.behind = bool(said and said[-1])
        about = {"run_id": run.row.run_id, "attempt": run.feed.attempt}
        run.feed.publish("metadata", self._dumps(about))
        if run.cancelled:
            raise asyncio.CancelledError  # as if it had come a moment later
        if due_at := run.row.due_at:
            await asyncio.sleep((due_at - datetime.now(UTC)).total_seconds())

    async def _run_on_thread(self, run: Run) -> None:
        async with self._hold(run) as held:
            await self._slots.enter(run)
            await self._check_ours(run)
            run.held, run.deadline = True, held.deadline
            if run.request.background:
                await self._admission.background()  # its thread is its own: none overtakes it
            self._started(run)
            try:
                if not await self._has_finished(run):
                    async with self._within_budget(run):
                        await self._run(run, held)
            finally:
                if run.end is not None:  # the next run of the thread starts after it
                    await asyncio.wait({run.end})
                run.deadline = None

    @asynccontextmanager
    async def _hold(self, run: Run) -> AsyncIterator[Hold]:
        """Hold a run's thread; the runs that came before it have ended then."""
        request = run.request
        thread_id = None if request.without_memory else run.thread_id
        wait = self._engine.thread_wait if request.interactive else _ENQUEUED_SECONDS
        now = asyncio.get_running_loop().time
        asked_at = now()
        if request.lasting and not run.taken and (run.behind or self._must_let_pass(run)):
            await self._let_pass(run, wait)
        seen: set[str] = set()
        while True:
            async with self._engine.hold_for_turn(thread_id, wait) as held:
                # Locks are given in the order they were asked for; only the death of a holder
                # gives one out of turn, after its lease. So most runs need not look.
                long = now() - asked_at > _LONG_WAIT and request.lasting
                others = await patiently(partial(self._before, run)) if long else []
                if not others:
                    await self._check_thread(run)
                    yield held
                    return
            self._slots.leave(run)  # they may need it
            for row in others:
                await self._elsewhere.until_ended(row)
            names = {row.run_id for row in others}
            if names <= seen:  # they have ended, but their rows do not say so yet
                await asyncio.sleep(_LONG_WAIT)
            seen |= names

    def _must_let_pass(self, run: Run) -> bool:
        """Whether some before it, on its thread, may ask for no lock yet."""
        others = self._here.on(run.thread_id)
        return self._queue.may_come_first(run.thread_id) or any(r.lets_pass for r in others)

    async def _let_pass(self, run: Run, wait: float) -> None:
        """Wait for the runs that came before: those of no process, or of a dead one, hold no lock.

        Nor is one asked for that lapses only because a node blocks its process.
        """
        run.lets_pass = True
        self._slots.leave(run)  # they may need it
        try:
            async with asyncio.timeout(wait):
                while others := await patiently(partial(self._before, run)):
                    for row in others:
                        await self._elsewhere.until_ended(row)
        except TimeoutError:
            raise ThreadBusy(
                f"Runs wait on thread {run.thread_id!r} since {wait:g} s or more."
            ) from None
        finally:
            run.lets_pass = False

    async def _check_ours(self, run: Run) -> None:
        """Refuse to begin a run that others have taken over: this process was away meanwhile.

        Not asked of a run that has just come: that costs a turn nothing. One that was begun before
        is written down as begun before it can end its process again.
        """
        again = run.taken and run.resumes
        fresh = monotonic() - run.had_at < self._sure_for
        if not run.request.recorded or (fresh and not again):
            return
        if not await patiently(partial(self._rows.begin, run.row.run_id)):
            raise StaleWriter("Another process has taken this run over.")
        run.had_at = monotonic()

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
        return [
            row
            for row in await self._rows.before(run.row.run_id, run.thread_id)
            if not ((there := self._here.find(row.run_id, run.thread_id)) and there.held)
        ]

    async def _run(self, run: Run, held: Hold) -> None:
        """Run the turn, and leave the thread as the next one may find it."""
        outcome = run.made = Outcome()
        try:
            turn = await self._prepared(run, held, outcome)
            await self._turns.run(run, turn, held, outcome)
            run.outcome = outcome
        except asyncio.CancelledError:  # by a request, or at the end of the turn's time
            await self._cut(run, held)
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

    async def _has_finished(self, run: Run) -> bool:
        """Whether others have run on the thread since: then only the end of this run was lost."""
        if not (run.resumes and run.request.lasting):
            return False
        if not await self._memory.has_left(run.thread_id, run.row.run_id):
            return False
        run.outcome, run.left = Outcome(), await self._state(run)  # others', not its own
        self._post_end(run)
        return True

    async def _prepared(self, run: Run, held: Hold, outcome: Outcome) -> Turn:
        """Make a turn of what is asked, on a thread that is as the run expects it."""
        goes_on, last_before = await self._goes_on(run), None
        if goes_on:
            last_before = await self._memory.last_before(run.thread_id, run.row.run_id)
            outcome.goes_on(last_before)
        if run.resumes and SUMMARY in run.request.stream_mode:
            values = (await self._state(run)).values if goes_on else None
            stands = [{"id": m.id, "content": m.text} for m in answers_since(values, last_before)]
            run.feed.publish(STANDING, self._dumps(stands))
        turn = await self._turn(run, goes_on=goes_on)
        if updates_latest(run.request) and turn.thread_id:
            chosen = configurable_of(run.assistant, run.request)
            await self._memory.apply_updates(turn.graph, turn.thread_id, held.fence, chosen)
        return turn

    async def _cut(self, run: Run, held: Hold) -> None:
        """Leave a thread in the middle of a turn."""
        ends = self._engine.closing and run.cancelled is None
        if ends and run.request.lasting and not run.may_be_handed_over:
            # Its client is told to send it again, and its question would stand there twice.
            await self._memory.undo(run.thread_id, run.row.run_id)
        await self._leave(run)
        if run.cancelled is None and held.deadline.expired():
            self._fail(run, self._engine.ended_by(held))
        if run.cancelled or run.error:
            self._post_end(run)

    async def _mend(self, run: Run, held: Hold) -> None:
        """See to it that the next run on the thread can start."""
        if run.request.lasting and not isinstance(run.error, CheckpointsError | MemoryLost):
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

    def refuse(self, run: Run) -> None:
        """Leave nothing of a run whose client is told that it was not started."""
        self._queue.left(run)
        if run.written is not None:  # should it be there all the same
            key = [key_released(run.row.run_id)] if run.request.idempotent else []
            self._rows.delete(run.row.run_id, run.thread_id, *key)

    async def store_end(self, run: Run) -> int | None:
        """Commit how a run ended; the number of its next attempt where it has to start again.

        Its row goes on saying that it is under way where another process goes on with it. A run
        that lost its thread to another one, but not its row to another process, starts again.
        """
        if run.refused:
            self.refuse(run)
            return None
        if run.goes_on_elsewhere:
            if isinstance(run.error, StaleWriter):
                return await self._begin_anew(run)
            await self._rows.release(run.row.run_id)
            return None
        request = run.request
        if run.cancelled == "rollback":
            # Done before its thread was left, unless this attempt never held it, or that failed.
            with waits(waiting_of(run, self._engine.store_wait, begun=True)):
                await self._memory.undo(run.thread_id, run.row.run_id)
        self._post_end(run)
        gone = run.cancelled == "rollback" or isinstance(run.error, ThreadNotFound)
        gone = gone or run.turned_away
        temporary = not request.lasting and (not request.idempotent or releases_key(run))
        if temporary and (request.recorded or request.webhook):
            self._keep(run, self._rows.delete(run.row.run_id, run.thread_id, *self._report(run)))
        elif request.recorded and gone:
            self._keep(run, self._rows.delete(run.row.run_id, run.thread_id))
        try:
            await self._committed(run)
        except StoreUnavailable:
            run.unstored = True
            return None
        if run.on_own_thread:
            await self._forget(run.thread_id)
        run.row = run.ended or replace(run.row, status=run.status)
        return None

    async def _begin_anew(self, run: Run) -> int | None:
        with waits(waiting_of(run, self._engine.store_wait, begun=True)):
            attempt = await patiently(partial(self._rows.begin_anew, run.row.run_id))
        if attempt is None and run.row.status == "running" and run.start is None:
            await self._rows.survived(run.row.run_id)  # it was taken for dead
        return attempt

    async def _forget(self, thread_id: str) -> None:
        """Forget a run's own thread; where Redis is away, when it is back."""

        async def forget() -> None:
            with suppress(StoreUnavailable), waits(Waiting(self._engine.store_wait)):
                await self._memory.forget(thread_id)

        forgetting = asyncio.create_task(forget(), name="own thread")
        self._forgetting.add(forgetting)
        forgetting.add_done_callback(self._forgetting.discard)
        await asyncio.wait({forgetting}, timeout=_FORGET_SECONDS)

    async def _committed(self, run: Run) -> None:
        """Wait for the commit of a run's end.

        Raises:
            StoreUnavailable: the service ends before that.
        """
        if run.end is None:
            return
        try:
            await asyncio.shield(run.end)
        except ValueRefused as error:  # of what it says of itself: then it ends without that
            self._fail(run, error)
            run.ended = replace(run.row)
            rows = (self._threads.failed(run), *self._keys.ended(run), *self._report(run))
            await self._rows.update(run.ended, run.status, *rows)

    def _post_end(self, run: Run) -> None:
        """Have the end written once, while the thread is held: the next run starts after it."""
        if run.start is not None:
            run.start.cancel()
        kept = run.request.lasting or run.request.idempotent
        if run.end is None and kept and not run.goes_on_elsewhere:
            run.ended = replace(run.row)
            rows = (*self._changes(run), *self._keys.ended(run), *self._report(run))
            self._keep(run, self._rows.update(run.ended, run.status, *rows))

    def _keep(self, run: Run, end: asyncio.Future[list[Any]]) -> None:
        """Know of a run's end, and let clients know where its commit takes long."""
        run.end = end
        late = asyncio.get_running_loop().call_later(CLIENT_SECONDS, run.delay, _NOT_STORED)
        end.add_done_callback(lambda _: late.cancel())

    def _changes(self, run: Run) -> list[Row]:
        """What is committed with a run's end: its thread's status, and its turn's history."""
        if not (run.held and run.request.lasting):  # its thread is another run's, or none
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

    async def _goes_on(self, run: Run) -> bool:
        """Whether it has begun before; perhaps it has ended, and only its end was not stored."""
        return run.resumes and await self._memory.is_newest(run.thread_id, run.row.run_id)

    async def _turn(self, run: Run, *, goes_on: bool) -> Turn:
        """What the engine is asked: the run's input, or to go on from where it was left.

        Raises:
            NothingWaits: what it answers was answered by another run.
        """
        request = run.request
        if request.answers is not None and not goes_on:
            waiting = await self._memory.waiting(run.thread_id)
            answered = {answers} if isinstance(answers := request.answers, str) else {*answers}
            if waiting is None or not answered <= {i.id for i in waiting.interrupts}:
                raise NothingWaits("What this answers has been answered, or given up, meanwhile.")
        return turn_of(run, self._engine.graphs, goes_on=goes_on)

    def _started(self, run: Run) -> None:
        """Have it written that a run is under way, unless it has ended by then."""
        run.row.status = "running"
        if run.request.recorded:
            loop = asyncio.get_running_loop()
            run.start = loop.call_later(_SHORT, self._post_start, run, loop.time())

    def _post_start(self, run: Run, since: float) -> None:
        run.start = None
        self._rows.update(run.row, "running", self._threads.busy(run), since=since)

    @asynccontextmanager
    async def _within_budget(self, run: Run) -> AsyncIterator[None]:
        """Let a run know what it may spend, where there are budgets."""
        if not self._budgets.apply_to(run.caller):
            yield
            return
        thread_id = run.thread_id if run.request.lasting else None
        async with RunBudget(self._budgets, run.row.run_id, thread_id, run.caller) as run.budget:
            yield

    def _fail(self, run: Run, error: BaseException) -> None:
        run.error, run.error_id = error, error_id_of(error)
        if not run.goes_on_elsewhere:  # else who listens is sent there: it is no error to them
            run.feed.publish("error", self._dumps(run.failure))
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
