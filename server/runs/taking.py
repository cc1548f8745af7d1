"""Going on with runs whose rows were taken: they waited, or another process has left them.

row -> request -> died too often? assistant there? -> a run, which is started
else it is given up: its thread, its clients and its webhook say so
"""

from collections.abc import Callable
from typing import Literal
from uuid import uuid4

from structlog import get_logger

from everturn.checkpoints.confidential import split_request
from everturn.checkpoints.errors import StoreMisconfigured
from everturn.checkpoints.shared.event_log import EventLog
from everturn.checkpoints.sql.runs import Claimed, RunRow, RunRows
from everturn.server.access.caller import Caller
from everturn.server.errors import RunError
from everturn.server.runs.idempotency import Keys
from everturn.server.runs.reading import Assistants
from everturn.server.runs.request import RunRequest
from everturn.server.runs.run import CancelAction, Run, lost_payload
from everturn.server.runs.slots import Slots
from everturn.server.runs.thread_rows import Threads
from everturn.server.runs.webhooks import Webhooks
from everturn.server.streams.feed import Dumps, Feed

log = get_logger(__name__)

MAX_DEATHS = 5
"""A run that had begun when its process died so often may be what ends it."""


class Taking:
    """Makes runs of rows that were taken."""

    def __init__(
        self,
        rows: RunRows,
        events: EventLog,
        assistants: Assistants,
        threads: Threads,
        keys: Keys,
        webhooks: Webhooks,
        slots: Slots,
        dumps: Dumps,
        start: Callable[[Run], None],
        count_lost: Callable[[], None],
    ) -> None:
        """Wire it up; `start` starts a run, `count_lost` counts one that is given up."""
        self._rows = rows
        self._events = events
        self._assistants = assistants
        self._threads = threads
        self._keys = keys
        self._webhooks = webhooks
        self._slots = slots
        self._dumps = dumps
        self._start = start
        self._count_lost = count_lost

    async def take_over(self, claimed: Claimed) -> None:
        """Begin a run that was taken by the queue, in the slot that is reserved for it."""
        await self._go_on_with(claimed, "background", None)

    async def end(self, claimed: Claimed, action: CancelAction) -> None:
        """End a run that waited, without having begun it."""
        await self._go_on_with(claimed, None, action)

    async def _go_on_with(
        self, claimed: Claimed, slot: Literal["background"] | None, ends: CancelAction | None
    ) -> None:
        row, attempt = claimed.row, claimed.attempt
        begun = None
        kwargs = row.kwargs
        try:
            kwargs = self._rows.whole_kwargs(claimed)
            request = RunRequest.of_kwargs(row.thread_id, row.assistant_id, kwargs)
            row.kwargs = split_request(kwargs).shown
            begun = await self._taken(claimed, request)
        except StoreMisconfigured as error:  # the next process may have the right key
            log.warning("run_waits_for_its_key", run_id=row.run_id, advice=str(error))
        except TypeError as error:  # another version's row
            feed = Feed(row.run_id, self._events, attempt)
            await self._give_up(row, feed, str(error), kwargs.get("webhook"))
        if begun is not None:
            begun.has_slot, begun.cancelled = slot, ends
            self._start(begun)
        elif slot:
            self._slots.give_back(1)

    async def _taken(self, claimed: Claimed, request: RunRequest) -> Run | None:
        """Make a run of a row that was taken; None where it was given up."""
        if claimed.deaths >= MAX_DEATHS:
            feed = Feed(claimed.row.run_id, self._events, claimed.attempt)
            reason = "Its process has died each time it was started."
            await self._give_up(claimed.row, feed, reason, request.webhook)
            return None
        caller = Caller(claimed.caller) if claimed.caller else None
        run = await self._again(claimed.row, request, claimed.attempt, caller)
        if run is not None:
            run.had_at = claimed.asked_at
        return run

    async def go_on(
        self, row: RunRow, request: RunRequest, attempt: int, caller: Caller | None
    ) -> None:
        """Begin a run of this process once more."""
        if run := await self._again(row, request, attempt, caller):
            self._start(run)

    async def _again(
        self, row: RunRow, request: RunRequest, attempt: int, caller: Caller | None
    ) -> Run | None:
        feed = Feed(row.run_id, self._events, attempt)
        try:
            assistant = await self._assistants.resolve(row.assistant_id)
        except RunError as error:  # its assistant is gone
            await self._give_up(row, feed, str(error), request.webhook)
            return None
        thread = await self._threads.get(row.thread_id) if request.lasting else None
        run = Run(row, request, assistant, feed, caller=caller)
        run.taken, run.resumes = True, attempt > 1
        if run.resumes:
            log.info("run_recovered", run_id=row.run_id, attempt=attempt)
        if thread:
            run.ttl, run.of_thread = thread.lifetime, thread.metadata
        return run

    async def _give_up(self, row: RunRow, feed: Feed, reason: str, webhook: str | None) -> None:
        failure = {"error": "RunLost", "message": reason, "error_id": uuid4().hex}
        about = {"run_id": row.run_id, "thread_id": row.thread_id}
        log.error("run_lost", **about, reason=reason, error_id=failure["error_id"])
        self._count_lost()
        rows = [self._threads.lost(row.thread_id, failure), self._keys.lost(row, failure)]
        if webhook:
            payload = lost_payload(row, failure)
            rows += self._webhooks.row(webhook, payload, self._dumps, row.metadata)
        await self._rows.update(row, "error", *rows)
        self._webhooks.look()
        feed.publish("error", self._dumps(failure))
        feed.close()
