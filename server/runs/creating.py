"""Creating runs: what is asked is checked, takes its place on its thread, and is stored.

allowed? fits? -> place on the thread -> the thread's row -> its strategy -> the run's row -> begun
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, closing, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from langchain_core.utils.uuid import uuid7
from structlog import get_logger

from everturn.checkpoints.confidential import split_request
from everturn.checkpoints.errors import ThreadBusy, ValueRefused
from everturn.checkpoints.shared.event_log import EventLog
from everturn.checkpoints.shared.peers import Peers
from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.matches import Match
from everturn.checkpoints.sql.runs import RunRow, RunRows
from everturn.checkpoints.sql.threads import Thread
from everturn.server.access.access import Access
from everturn.server.access.budgets import Budgets
from everturn.server.access.caller import Caller, current_caller
from everturn.server.errors import CheckpointNotFound, ThreadNotFound
from everturn.server.observe.metrics import Metrics
from everturn.server.runs.admission import Admission
from everturn.server.runs.arrivals import Arrivals, Reached
from everturn.server.runs.at_once import RunsAtOnce
from everturn.server.runs.audited import audit_answer
from everturn.server.runs.cancelling import RunCanceller
from everturn.server.runs.elsewhere import Elsewhere
from everturn.server.runs.execution import Execution
from everturn.server.runs.here import Here
from everturn.server.runs.idempotency import IdempotencyKey, Keys, Repeated, answer_gone
from everturn.server.runs.permission import RunAccess
from everturn.server.runs.queue import Queue
from everturn.server.runs.reading import Assistants
from everturn.server.runs.request import CRON_DOOR, RunRequest
from everturn.server.runs.run import Run
from everturn.server.runs.slots import Slots
from everturn.server.runs.taking import Taking
from everturn.server.runs.thread_rows import Threads
from everturn.server.runs.webhooks import Webhooks
from everturn.server.streams.feed import Dumps, Feed, NoLog
from everturn.server.streams.thread import Watch
from everturn.server.turns.engine import Engine
from everturn.server.turns.memory import ThreadMemory

if TYPE_CHECKING:
    from everturn.server.observe.otel.traces import Traces

log = get_logger(__name__)


class _StartedElsewhere(Exception):
    """The run of this key was started by another process, a moment ago."""


class RunCreator(RunCanceller, ABC):
    """Starts runs; see `RunReader` and `RunCanceller` for what else it does."""

    def __init__(
        self,
        engine: Engine,
        memory: ThreadMemory,
        rows: RunRows,
        events: EventLog,
        assistants: Assistants,
        threads: Threads,
        peers: Peers,
        watch: Watch,
        webhooks: Webhooks,
        metrics: Metrics,
        dumps: Dumps,
        access: Access,
        admission: Admission,
        slots: Slots,
        at_once: RunsAtOnce,
        max_waiting: int,
        keys: Keys,
        budgets: Budgets,
        traces: "Traces | None" = None,
    ) -> None:
        """Wire it up.

        Args:
            engine: what runs turns.
            memory: what threads remember.
            rows: the runs' rows.
            events: the log of what they stream.
            assistants: where assistants are found.
            threads: the threads' rows.
            peers: the other processes.
            watch: who follows threads.
            webhooks: where ends are reported.
            metrics: what is counted.
            dumps: makes JSON of an event's data.
            access: says who may do what.
            admission: how fast runs start.
            slots: how many are under way at once,
            at_once: and how many of one caller.
            max_waiting: runs of the background that wait; more are refused.
            keys: of requests that may be sent again.
            budgets: what may be spent.
            traces: makes spans of runs, where they are wanted.
        """
        here = Here()
        self._taking = Taking(
            *(rows, events, assistants, threads, keys, webhooks, slots, dumps),
            start=self._start,
            count_lost=metrics.run_lost,
        )
        self._queue = Queue(rows, slots, at_once, peers, self._taking.take_over, max_waiting)
        super().__init__(
            engine=engine,
            memory=memory,
            rows=rows,
            events=events,
            assistants=assistants,
            threads=threads,
            watch=watch,
            dumps=dumps,
            access=RunAccess(access, threads),
            here=here,
            elsewhere=Elsewhere(
                *(here, rows, events, peers, self._taking.end),
                let_go=self._queue.let_go,
                follow_here=self.events,
            ),
            keys=keys,
            webhooks=webhooks,
        )
        self._peers = peers
        self._metrics = metrics
        self._arrivals = Arrivals()
        self._admission = admission
        self._slots = slots
        self._at_once = at_once
        self._budgets = budgets
        self._traces = traces
        self._execution = Execution(
            engine,
            memory,
            rows,
            threads,
            self._here,
            self._elsewhere,
            dumps,
            admission,
            slots,
            self._queue,
            peers.lease,
            keys,
            webhooks,
            budgets,
        )

    @overload
    async def create(
        self,
        request: RunRequest,
        thread: Thread | None = None,
        *,
        caller: Caller | None = None,
        bounded: bool = True,
    ) -> Run: ...

    @overload
    async def create(
        self,
        request: RunRequest,
        thread: Thread | None = None,
        *,
        caller: Caller | None = None,
        bounded: bool = True,
        key: IdempotencyKey | None,
    ) -> Run | Repeated: ...

    async def create(
        self,
        request: RunRequest,
        thread: Thread | None = None,
        *,
        caller: Caller | None = None,
        bounded: bool = True,
        key: IdempotencyKey | None = None,
    ) -> Run | Repeated:
        """Start a run, or put it behind the others of its thread, in the order of the calls.

        Args:
            request: what is asked.
            caller: whose run it is, where that is not the current caller: of a cron.
            bounded: refuse it where too many wait; not a run that is due by the clock.
            thread: the row of its thread, where the caller has read it; with a request that names
                no thread, a new one, which is stored with the run.
            key: of the request; sent before, it finds the run of then.

        Raises:
            AssistantNotFound, GraphNotFound, InvalidInput, and for an interactive request all that
                `Engine.check` raises: it cannot be run; nothing was written.
            ThreadNotFound: there is no such thread, and the request does not create it; or it is
                somebody else's.
            CheckpointNotFound: it shall go on from one that the thread does not have.
            ThreadBusy: a run is under way, and the strategy is `reject`; or it waits for this one.
            BudgetExceeded: its caller, its thread or all together have spent what they may.
            Overloaded: too many wait; or a client waits for it, and it could not start soon.
            TooManyRuns: a client waits for it, and its caller has as many under way as one may.
            ShuttingDown: this process ends.
            StoreUnavailable: its row was not written; nothing is run. One of the background
                says so when it is acknowledged.
            KeyReused, AnswerGone, RunNotFound: of the key, see `sent_before`.
            Forbidden, InvalidRule, HTTPException: of the project's rules, see `Access.allowed`.
        """
        timed = request.door == CRON_DOOR

        async def start(reached: Reached) -> Run:
            if not timed:  # whose time has come but once: another process runs it
                self._engine.refuse_if_closing()
            if not request.background:
                self._slots.check()
                await self._admission.client()
            elif bounded:
                self._queue.check()
            # A cron's key says that its run was created; no one asks for its answer again.
            asked = request if key is None or timed else request.to_be_sent_again()
            return await self._create(asked, thread, reached, caller or current_caller(), key)

        started = await self._once(key, request.thread_id, start)
        if isinstance(started, Run) and not request.background:
            await self.acknowledge(started)  # of those of the background several together
        return started

    async def create_from(
        self,
        thread_id: str | None,
        asked: Coroutine[Any, Any, tuple[RunRequest, Thread]],
        key: IdempotencyKey | None,
    ) -> Run | Repeated:
        """Start a run whose request is still to be made; its place on the thread is taken first.

        Raises what making it raises, and what `create` does.
        """

        async def start(reached: Reached) -> Run:
            self._engine.refuse_if_closing()
            self._slots.check()
            await self._admission.client()
            request, thread = await asked
            request = request.to_be_sent_again() if key else request
            return await self._create(request, thread, reached, current_caller(), key)

        with closing(asked):
            started = await self._once(key, thread_id, start)
        if isinstance(started, Run):
            await self.acknowledge(started)
        return started

    async def _once(
        self,
        key: IdempotencyKey | None,
        thread_id: str | None,
        start: Callable[[Reached], Awaitable[Run]],
    ) -> Run | Repeated:
        """Start a run in its place on a thread, unless one was started with its key."""
        with self._arrivals.place(thread_id) as reached:
            if key is None:
                return await start(reached)
            async with self._keys.hold(key):
                if before := await self.sent_before(key):
                    return before
                try:
                    return await start(reached)
                except (ValueRefused, _StartedElsewhere):
                    if before := await self.sent_before(key):  # another process was faster
                        return before
                    raise

    async def sent_before(self, key: IdempotencyKey) -> Repeated | None:
        """Return the run that was started with a key; None where there is none.

        Raises:
            KeyReused: by another request.
            RunNotFound: its thread is somebody else's by now.
            AnswerGone: it is over, and was deleted.
        """
        found = await self._keys.find(key)
        if found is None:
            return None
        run = self._here.find(found.run_id, None)
        if run and run.goes_on_elsewhere:
            run = None
        row = run.row if run else await self._rows.get(found.run_id)
        if row is None and found.answer is None:
            raise answer_gone(found.run_id, "it was deleted since")
        if found.temporary:
            await self._access.check_threadless(row, found.run_id, row.metadata if row else None)
        elif row is not None:
            await self._access.check("read", found.run_id, found.thread_id)
        return Repeated(found, row, run)

    async def _create(
        self,
        request: RunRequest,
        thread: Thread | None,
        reached: Reached,
        caller: Caller | None,
        key: IdempotencyKey | None,
    ) -> Run:
        await self.check_webhook(request.webhook)
        request = request.with_inherited()
        if self._traces:
            request = replace(request, traceparent=self._traces.here())
        if request.interactive:  # these name a graph
            self._engine.graphs.fixed(request.assistant_id)
        assistant = await self._assistants.resolve(request.assistant_id)
        asked_of = thread.thread_id if thread else request.thread_id
        request, allowed = await self._access.create(request, assistant, asked_of)
        request = await self._execution.admitted(request, assistant)
        checked = self._execution.check(request, assistant)
        new = thread if request.thread_id is None else None
        thread_id = new.thread_id if new else request.thread_id or str(uuid7())
        there = None
        if request.thread_id:  # else it is made with the run, and nobody has it
            there = await self._check_thread(thread, thread_id, allowed)
        self._refuse_own_thread(request)
        if request.door != CRON_DOOR:  # a run by the clock is there to say that it was due
            await self._budgets.check(caller, request.thread_id)
        await self._check_checkpoint(request)
        if new:
            request = replace(request, thread_id=thread_id)
            thread = new = replace(new, metadata={**request.metadata, **new.metadata})
        elif request.lasting and thread is None:
            create = request.if_not_exists == "create" or request.thread_id is None
            about = {**request.config.get("metadata", {}), **request.metadata}
            thread = there or await self._threads.open(
                thread_id, assistant, create=create, metadata=about
            )
            if thread is None:
                raise ThreadNotFound("Thread or assistant not found.")
        await reached()
        async with self._strategy_applied(thread_id, request, key):
            row, confidential = _row_of(request, assistant, thread_id)
            run = Run(row, request, assistant, self._feed(row, request), checked=checked)
            run.ttl = thread.lifetime if thread else None
            run.caller = caller
            run.of_thread = thread.metadata if thread else {}
            run.fresh = thread is None or thread.state_updated_at == thread.created_at
            await self._post(run, new, key, confidential)
        audit_answer(run)
        return run

    async def _post(
        self,
        run: Run,
        new: Thread | None,
        key: IdempotencyKey | None,
        confidential: Mapping[str, Any],
    ) -> None:
        """Have the row of a new run written, and begin it; of one that is refused nothing stays."""
        waits = self._waits(run)
        try:
            if not waits and not await self._at_once.admit(run):
                self._slots.leave(run)
                waits = True
            if run.request.recorded:
                before = [self._threads.created(new)] if new else []
                before += [self._keys.taken(key, run.row)] if key else []
                run.written = self._rows.insert(
                    run.row,
                    *before,
                    caller=run.caller,
                    confidential=confidential,
                    waits=waits,
                    looks=run.request.lasting and not (waits or self._peers.single),
                )
            if key and not waits:
                self._queue.knows(run)
            if key:
                await self.acknowledge(run)  # first: another process may have been faster
            if run.request.lasting and run.written:
                self._watch.started(run.thread_id, run.row.run_id, run.written, here=not waits)
            await self._begin(run, waits=waits)
        except BaseException:
            if run.task is None:
                self._execution.refuse(run)
                await self._at_once.leave(run.row.run_id)
            raise

    async def _begin(self, run: Run, *, waits: bool) -> None:
        """Start a new run, or leave it to whoever has room."""
        if waits and run.written:
            await self._queue.post(run.written, run.row.due_at)
            return
        self._start(run)
        if not self._peers.single and run.request.multitask_strategy != "enqueue":
            await self.acknowledge(run)  # the next to come to the thread must see it

    def _waits(self, run: Run) -> bool:
        """Whether a new run waits in the table, until a process takes it."""
        if not run.request.background:
            return False
        return bool(self._here.on(run.thread_id)) or not self._queue.begins_at_once(run)

    @asynccontextmanager
    async def _strategy_applied(
        self, thread_id: str, request: RunRequest, key: IdempotencyKey | None
    ) -> AsyncIterator[None]:
        """Do with the thread's unfinished runs what the strategy says, and start the next.

        Among several processes, runs that care for the others on the thread start one by one.
        """
        strategy = request.multitask_strategy
        if strategy == "enqueue":
            yield
            return
        async with nullcontext() if self._peers.single else self._engine.hold(f"{thread_id}:next"):
            if key and not self._peers.single and await self._keys.find(key):
                raise _StartedElsewhere  # and is not to be ended by itself
            while any(under_way := await self._under_way(thread_id)):
                if strategy == "reject":
                    raise ThreadBusy(
                        f"thread {thread_id!r} has a run under way: wait for its end, or choose "
                        "another multitask_strategy"
                    )
                await self._end_all(*under_way, strategy, wait=True)  # others may start meanwhile
            yield

    async def _check_thread(
        self, thread: Thread | None, thread_id: str, allowed: Match
    ) -> Thread | None:
        """Refuse a thread that is somebody else's, before it is touched.

        Returns its row where one was read, so that it need not be read again.
        """
        if not self._access.on:
            return thread
        there = thread or await self._threads.get(thread_id, ended=True)
        if there is not None and not await self._access.may_have(there, allowed):
            raise ThreadNotFound("Thread or assistant not found.")
        return None if there is None or there.has_expired else there

    async def _check_checkpoint(self, request: RunRequest) -> None:
        """Refuse to run from a checkpoint that is not there: the thread would begin anew."""
        place = {
            **request.config.get("configurable", {}),
            **({"checkpoint_id": request.checkpoint_id} if request.checkpoint_id else {}),
            **(request.checkpoint or {}),
        }
        checkpoint_id, thread_id = place.get("checkpoint_id"), request.thread_id
        if not checkpoint_id:
            return
        inside = str(place.get("checkpoint_ns") or "")
        if not (thread_id and await self._memory.has(thread_id, str(checkpoint_id), inside)):
            raise CheckpointNotFound(
                f"The checkpoint {checkpoint_id} was not found on this thread: its history lists "
                "those there are."
            )

    def _refuse_own_thread(self, request: RunRequest) -> None:
        """Refuse a run that its own caller holds the thread of: each would wait for the other.

        A `RemoteGraph` that is a node sends the thread and the metadata of the run around it.
        """
        caller = request.config.get("metadata", {}).get("run_id")
        if request.thread_id is None or not isinstance(caller, str):
            return
        run = self._here.find(caller, request.thread_id)
        if run is not None and not run.done.is_set():
            raise ThreadBusy(
                f"The run {caller} waits for this one and holds its thread {request.thread_id}, so "
                "neither would end. Call a RemoteGraph of this service in a node function, with a "
                "thread of its own or none: `await remote.ainvoke(state)`."
            )

    async def check_webhook(self, url: str | None) -> None:
        """Refuse one that may not be called; raises InvalidInput."""
        if url:
            await self._webhooks.check(url)

    async def acknowledge(self, run: Run) -> RunRow:
        """Wait until a run's row is committed: from then on the run survives its process.

        Before that it does not begin.

        Raises:
            StoreUnavailable: it was not written; nothing is run.
        """
        if run.written is not None:
            await asyncio.shield(run.written)
        return run.row

    def _feed(self, row: RunRow, request: RunRequest, attempt: int = 1) -> Feed:
        """Where a run's events go. Other processes wait for its end there, so they need the log."""
        if self._peers.single and not request.stream_mode:
            return Feed(row.run_id, NoLog(), attempt)
        log = self._events if request.joined_later else self._events.brief
        return Feed(row.run_id, log, attempt)

    @abstractmethod
    def _start(self, run: Run) -> None:
        """Have a run executed in a task of its own, or go on."""


def _row_of(
    request: RunRequest, assistant: Assistant, thread_id: str
) -> tuple[RunRow, dict[str, Any]]:
    """Return a run's row, and what is left out of it because clients are shown it."""
    about = {"graph_id": assistant.graph_id, "assistant_id": assistant.assistant_id}
    kwargs, confidential = split_request(request.kwargs())
    row = RunRow(
        run_id=str(uuid7()),
        thread_id=thread_id,
        assistant_id=assistant.assistant_id,
        metadata={**assistant.metadata, **request.metadata, **about},
        kwargs=kwargs,
        multitask_strategy=request.multitask_strategy,
    )
    return row, confidential
