"""What runs are, what they stream, and what they came to: of this process, and of the others.

here? -> as it runs
else  -> as its row and the event log say
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from typing import Any, Protocol

import orjson

from everturn.checkpoints.errors import ThreadBusy
from everturn.checkpoints.shared.event_log import END, EventLog
from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.runs import UNFINISHED, RunRow, RunRows, RunStatus
from everturn.server.errors import AssistantNotFound, ShuttingDown, StateUnreadable
from everturn.server.runs.asked import configurable_of
from everturn.server.runs.elsewhere import Elsewhere
from everturn.server.runs.here import KNOWN_SECONDS, Here
from everturn.server.runs.idempotency import Kept, Keys, Repeated, answer_gone
from everturn.server.runs.permission import RunAccess, run_not_found
from everturn.server.runs.request import RunRequest
from everturn.server.runs.run import Run
from everturn.server.runs.thread_rows import Threads
from everturn.server.runs.webhooks import Webhooks
from everturn.server.streams.feed import BEGINNING, Cursor, Dumps, Event
from everturn.server.streams.logged import LoggedRun, logged_run
from everturn.server.streams.moved import Moved
from everturn.server.streams.thread import Place, ThreadEvent, ThreadMode, Watch, follow_thread
from everturn.server.turns.engine import Engine
from everturn.server.turns.memory import ThreadMemory
from everturn.server.turns.outcome import Outcome


class Assistants(Protocol):
    """Where assistants are found."""

    async def resolve(self, name_or_id: str) -> Assistant:
        """Return an assistant by its id, or by its graph's name."""
        ...


class RunReader:
    """Finds runs, reads what they came to, and follows what they stream."""

    def __init__(
        self,
        engine: Engine,
        memory: ThreadMemory,
        rows: RunRows,
        events: EventLog,
        assistants: Assistants,
        threads: Threads,
        watch: Watch,
        dumps: Dumps,
        access: RunAccess,
        here: Here,
        elsewhere: Elsewhere,
        keys: Keys,
        webhooks: Webhooks,
    ) -> None:
        self._engine = engine
        self._memory = memory
        self._rows = rows
        self._events = events
        self._assistants = assistants
        self._threads = threads
        self._watch = watch
        self._dumps = dumps
        self._access = access
        self._here = here
        self._elsewhere = elsewhere
        self._keys = keys
        self._webhooks = webhooks

    async def find(self, run_id: str, thread_id: str) -> Run | RunRow:
        """Return a run, as it runs here, or else as its row says.

        Raises:
            RunNotFound: there is none.
        """
        row = await self.get(run_id, thread_id)
        return self._here.find(run_id, thread_id) or row

    async def get(self, run_id: str, thread_id: str) -> RunRow:
        """Return a run's row.

        Raises:
            RunNotFound: there is none, or its thread is somebody else's.
        """
        await self._access.check("read", run_id, thread_id)
        return await self._get(run_id, thread_id)

    async def _get(self, run_id: str, thread_id: str) -> RunRow:
        if run := self._here.find(run_id, thread_id):
            return run.row
        row = await self._rows.get(run_id, thread_id)
        if row is None:
            raise run_not_found(run_id)
        return row

    async def find_stateless(self, run_id: str) -> Run | RunRow | LoggedRun:
        """Return a run on a thread of its own: as it runs here, or else as its row or events say.

        Raises:
            RunNotFound: there is none, or its events are no longer kept.
        """
        run = self._here.find(run_id, None)
        row = run.row if run else await self._rows.get(run_id)
        await self._check_threadless(row, run_id)
        if run and not run.request.lasting:
            return run
        if row is None:
            return await self.logged(run_id)
        if not row.kwargs.get("temporary"):
            raise run_not_found(run_id)
        return row

    async def _check_threadless(self, row: RunRow | None, run_id: str) -> None:
        """Refuse a run that is somebody else's; of one that left events alone, their end says it.

        Raises:
            RunNotFound: as if there were none.
        """
        metadata = row.metadata if row else None
        if row is None and self._access.on:
            await self._events.written()
            last = await self._events.last(run_id)
            metadata = orjson.loads(last[1].data) if last and last[1].name == END else None
        await self._access.check_threadless(row, run_id, metadata)

    async def logged(self, run_id: str) -> LoggedRun:
        """Return a run as its events say; raises RunNotFound where there are none."""
        await self._events.written()
        async with aclosing(self._events.read_all(run_id)) as frames:
            logged = await logged_run(run_id, frames)
        if logged is None:
            raise run_not_found(run_id)
        return logged

    async def of_thread(
        self,
        thread_id: str,
        *,
        limit: int,
        offset: int,
        status: RunStatus | None,
        without: Collection[str] = (),
    ) -> list[RunRow]:
        """Return the runs of a thread, newest first; none of a thread that is somebody else's.

        Raises:
            ListTooLarge: the page is too large for one list; columns `without` which do not count.
        """
        if not await self._access.of_thread("read", thread_id):
            return []
        return await self._rows.of_thread(
            thread_id, limit=limit, offset=offset, status=status, without=without
        )

    async def final_state(self, row: RunRow) -> Any:
        """Return the state of a run's thread, as a client that waited for the run is answered."""
        if row.status in {"error", "timeout"}:
            return {"__error__": await self._threads.error(row.thread_id)}
        try:
            return (await self.outcome(row)).state
        except StateUnreadable as error:
            return {"__error__": {"error": type(error).__name__, "message": str(error)}}

    async def kept(self, before: Repeated) -> Kept:
        """Wait until a run with a key has ended; return what it came to.

        Raises:
            AnswerGone: it was deleted, or could not be kept.
            ThreadBusy: it ended before it had its thread, and changed nothing.
            ShuttingDown: the service ends before the run does.
        """
        run_id = before.key.run_id
        if before.key.answer is not None:
            return self._keys.read(before.key.answer)
        while True:
            row = await self._rows.get(run_id)  # before the answer: both are of one commit
            if kept := await self._keys.answer(run_id):
                return kept
            if row is None:
                raise answer_gone(run_id, "it was deleted since")
            if row.status not in UNFINISHED:
                raise ThreadBusy("The run could not start, and changed nothing: send it again.")
            self._refuse_when_closing()
            async with aclosing(self._elsewhere.ended(row)) as waiting:
                async for _ in waiting:
                    self._refuse_when_closing()

    def _refuse_when_closing(self) -> None:
        if self._engine.closing:
            raise ShuttingDown("The service is being stopped: ask again with the same key.")

    async def kept_state(self, before: Repeated, kept: Kept) -> bytes:
        """Return the state in which a run with a key ended, in JSON, as it was answered then.

        Raises:
            AnswerGone: it is not kept any more, or was too large.
        """
        if kept.failure is not None:
            return self._dumps({"__error__": kept.failure})
        if kept.state is not None:
            return kept.state
        row = before.row
        if row is None or before.key.temporary:
            raise answer_gone(before.key.run_id, "its state was too large, or is deleted")
        graph, chosen = str(row.metadata["graph_id"]), await self._configurable(row)
        outcome = await self._memory.outcome(graph, row.thread_id, row.run_id, chosen)
        if outcome is None and kept.status == "success":
            raise answer_gone(row.run_id, "its checkpoints are deleted")
        return self._dumps(outcome.state if outcome else {})

    async def follow_again(self, before: Repeated, after: Cursor) -> AsyncGenerator[list[Event]]:
        """Yield what the run of a key streams, or streamed, after a place, as far as it is kept."""
        if before.run:
            following = before.run.feed.follow(after)
        else:
            await self._events.written()
            following = self._elsewhere.follow(before.run_id, before.key.thread_id, after)
        async with aclosing(following):
            async for news in following:
                yield news

    async def ended_row(self, run_id: str, thread_id: str) -> RunRow | None:
        """Return the row of a run that has ended, as it ended here or as it is kept; or None.

        Nobody's permission is asked.
        """
        run = self._here.find(run_id, thread_id)
        ended_here = run is not None and run.done.is_set() and not run.goes_on_elsewhere
        return run.row if run and ended_here else await self._rows.get(run_id, thread_id)

    async def place(self, run_id: str) -> int | None:
        """Return where a run stands among all, which grows from run to run; None for no run."""
        return await self._rows.place(run_id)

    async def has_events(self, run_id: str) -> bool:
        """Say whether something of what a run streamed is still kept."""
        await self._events.written()
        return await self._events.last(run_id) is not None

    async def outcome(self, row: RunRow) -> Outcome:
        """Return what a run came to, as far as its thread still is where the run left it."""
        chosen = await self._configurable(row)
        state = await self._memory.state(str(row.metadata["graph_id"]), row.thread_id, chosen)
        return Outcome(state.values, state.interrupts)

    async def newest_configurable(self, thread_id: str) -> dict[str, Any]:
        """Return what the newest run of a thread was given as `config.configurable`."""
        rows = await self._rows.of_thread(thread_id, limit=1, offset=0, status=None)
        return await self._configurable(rows[0]) if rows else {}

    async def _configurable(self, row: RunRow) -> dict[str, Any]:
        try:
            assistant = await self._assistants.resolve(row.assistant_id)
        except AssistantNotFound:  # deleted since
            return {}
        request = RunRequest.of_kwargs(row.thread_id, row.assistant_id, row.kwargs)
        return configurable_of(assistant, request)

    async def ended(self, row: RunRow) -> AsyncGenerator[None]:
        """Wait for the end of a run; yields now and then, so that the caller can do something.

        Raises:
            Moved: this process ends before the run does.
        """
        while True:
            async with aclosing(self._elsewhere.ended(row)) as waiting:
                async for each in waiting:
                    yield each
            now = await self._rows.get(row.run_id)
            if now is None or now.status not in UNFINISHED:
                return
            if self._engine.closing:
                raise Moved(None)
            await asyncio.sleep(KNOWN_SECONDS)  # it has come here, and goes on elsewhere

    async def follow(
        self, run_id: str, thread_id: str | None, after: Cursor | None
    ) -> AsyncGenerator[list[Event]]:
        """Return what a run streams after a place; None means from now on.

        Raises:
            RunNotFound: there is none, or it is somebody else's.
        """
        run = self._here.find(run_id, thread_id)
        if thread_id is not None:
            await self.get(run_id, thread_id)
        elif self._access.on:
            row = run.row if run else await self._rows.get(run_id)
            await self._check_threadless(row, run_id)
        if run := self._here.find(run_id, thread_id):
            return self.events(run, run.feed.end if after is None else after)
        return self._elsewhere.follow(run_id, thread_id, after)

    async def events(self, run: Run, after: Cursor = BEGINNING) -> AsyncGenerator[list[Event]]:
        """Yield what a run of this process streams after a place, to its end, wherever that is.

        Raises:
            Moved: it goes on in another process, and this one ends.
        """
        async with aclosing(run.feed.follow(after)) as here:
            async for news in here:
                after = news[-1].cursor if news else after
                yield news
        if not run.goes_on_elsewhere:
            return
        if self._engine.closing:
            raise Moved(after)
        self._here.forget(run)  # what comes here under its id from now on is its next attempt
        thread_id = run.thread_id if run.request.lasting else None
        async with aclosing(self._elsewhere.follow(run.row.run_id, thread_id, after)) as there:
            async for news in there:
                yield news

    async def follow_thread(
        self,
        thread_id: str,
        after: Place | None,
        modes: Collection[ThreadMode],
        state: Callable[[], Awaitable[bytes]],
    ) -> AsyncGenerator[list[ThreadEvent]]:
        """Return what happens on a thread after a place, or from now on; see `streams.thread`."""

        async def runs_after(thread_id: str, run_id: str | None) -> list[str]:
            here = [run.row.run_id for run in self._here.on(thread_id)]
            rows = await self._rows.ids_from(thread_id, run_id)
            new = (each for each in here if each not in rows)
            return [*rows, *(each for each in new if run_id is None or each >= run_id)]

        async def follow(run_id: str, place: Cursor | None) -> AsyncGenerator[list[Event]]:
            if run := self._here.find(run_id, thread_id):
                return self.events(run, run.feed.end if place is None else place)
            return self._elsewhere.follow(run_id, thread_id, place)

        return follow_thread(
            self._watch,
            thread_id,
            after,
            runs_after=runs_after,
            follow=follow,
            state=state,
            modes=modes,
        )
