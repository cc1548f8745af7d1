"""Runs of the background that wait: in their table, until a process with room takes them.

    posted -> room here, nothing before it? -> begun at once
                    else -> its row is no process' yet; all others are sent that something waits
    a run has ended, something came, the next is due -> room? -> claim -> begun

So what waits is bounded by the database and not by this process, outlives it, and goes to whoever
has room. Messages can be lost: now and then each process looks by itself.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.shared.peers import Message, Peers
from everturn.checkpoints.sql.runs import Claimed, RunRows, Waiting
from everturn.server.access.caller import Caller
from everturn.server.errors import Overloaded
from everturn.server.runs.at_once import RunsAtOnce
from everturn.server.runs.run import Run
from everturn.server.runs.slots import Slots

log = get_logger(__name__)

_LOOK_SECONDS = 10.0
"""After which it is looked at what waits, though nothing is known to have changed."""
_RETRY_SECONDS = 1.0
"""After a database that did not answer."""
_MEASURED_SECONDS = 1.0
"""For which it is known well enough how many wait."""
_AT_ONCE = 50
"""Runs that are taken with one statement."""

Begin = Callable[[Claimed], Awaitable[None]]
"""Starts a run that was taken; what it raises is logged, and it is tried again."""


class Queue:
    """Takes runs out of the table as there is room for them."""

    def __init__(
        self,
        rows: RunRows,
        slots: Slots,
        at_once: RunsAtOnce,
        peers: Peers,
        begin: Begin,
        max_waiting: int,
    ) -> None:
        """Take runs for `begin`; refuse more where so many wait."""
        self._rows = rows
        self._slots = slots
        self._at_once = at_once
        self._peers = peers
        self._begin = begin
        self.max_waiting = max_waiting
        self._news = asyncio.Event()
        self._known = Waiting(due=1)  # what an earlier process left, perhaps
        self.measured = Waiting(due=0)
        """What waited in all when that was last asked of the database."""
        self._measured_at = 0.0
        self._lost_answer = True
        self._mine: set[str] = set()
        self._begins: Counter[str] = Counter()
        """Threads of runs that were taken and are not under way yet."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        peers.subscribe(self._received)

    @property
    def empty(self) -> bool:
        """Whether nothing waits that might begin, as far as this process knows."""
        return not (self._known.due or _passed(self._known.next_due))

    def may_come_first(self, thread_id: str) -> bool:
        """Whether something that waits may come before what comes to a thread now."""
        return not self.empty or self._begins[thread_id] > 0

    def check(self, more: int = 1) -> None:
        """Refuse more runs of the background.

        Raises:
            Overloaded: too many wait.
        """
        if self._known.due + more > self.max_waiting:
            since = self._known.since or datetime.now(UTC)
            waited = (datetime.now(UTC) - since).total_seconds()
            raise Overloaded(
                "Too many runs wait: come back later, or see EVERTURN_MAX_QUEUED.",
                retry_after=max(1.0, min(60.0, waited)),
            )

    def begins_at_once(self, run: Run) -> bool:
        """Take a slot for a new run whose thread is free, where there is room and none waits."""
        later = run.row.due_at or self.may_come_first(run.thread_id)
        if self._closed or later or not self._slots.reserve(1):
            return False
        run.has_slot = "background"
        return True

    def knows(self, run: Run) -> None:
        """Know of a run that is this process', and begins when its row is there."""
        self._mine.add(run.row.run_id)

    async def post(self, written: Awaitable[Any], due_at: datetime | None) -> None:
        """Let all know of a run that waits, once its row is written.

        Raises:
            StoreUnavailable: it was not written.
        """
        await written
        if due_at is None:
            since = self._known.since or datetime.now(UTC)
            self._known = self._known._replace(due=self._known.due + 1, since=since)
        self._news.set()
        await self._peers.publish({"waiting": True})

    def left(self, run: Run) -> None:
        """A run has ended here: there is room, and its thread may be free."""
        self._mine.discard(run.row.run_id)
        self._slots.leave(run)
        if not self.empty:
            self._news.set()

    def let_go(self, *run_ids: str) -> None:
        """Have what this process has, and does not know of, wait again: these, too."""
        self._mine.difference_update(run_ids)
        self._lost_answer = True
        self._news.set()

    def wake(self) -> None:
        """Look at what waits."""
        self._known = self._known._replace(due=max(1, self._known.due))
        self._news.set()

    async def serve(self, here: Callable[[], Collection[str]]) -> None:
        """Take runs as there is room. Never ends; `here` says which runs this process knows."""
        while True:
            self._news.clear()
            pause = _RETRY_SECONDS
            try:
                pause = await self._look(here)
            except CheckpointsError as error:
                self._lost_answer = True
                log.warning("runs_not_taken", error=str(error))
            except Exception:
                self._lost_answer = True
                log.exception("runs_not_taken")
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                self._at_once.full.clear()  # a process that died has given no place back

    def close(self) -> None:
        """Take no more: the process is being stopped."""
        self._closed = True

    async def measure(self) -> Waiting:
        """Return what waits in all, and remember it."""
        self._known = self.measured = await self._rows.waiting()
        self._measured_at = monotonic()
        return self._known

    async def _look(self, here: Callable[[], Collection[str]]) -> float:
        """Take what there is room for; return after how many seconds to look again."""
        if self._closed:
            return _LOOK_SECONDS
        if self._lost_answer:  # what was taken then is this process', and it does not know it
            await self._rows.release_others(lambda: {*here(), *self._mine})
            self._lost_answer = False
        while room := self._slots.reserve(_AT_ONCE):
            taken: list[Claimed] = []
            try:
                taken = await self._rows.claim(room, without=self._at_once.full)
            finally:
                self._slots.give_back(room - len(taken))
            for claimed in taken:
                self.take(claimed)
            due = max(1, self._known.due - len(taken))
            self._known = self._known._replace(due=due)
            if len(taken) < room:
                break
        else:
            if monotonic() - self._measured_at < _MEASURED_SECONDS:
                return _MEASURED_SECONDS  # all slots are taken: who ends a run looks again
        waits = await self.measure()
        if waits.next_due is None:
            return _LOOK_SECONDS
        left = (waits.next_due - datetime.now(UTC)).total_seconds()
        return max(0.01, min(left, _LOOK_SECONDS))

    def take(self, claimed: Claimed) -> None:
        """Begin a run that was taken."""
        self._mine.add(claimed.row.run_id)
        self._begins[claimed.row.thread_id] += 1
        self._spawn(self._begin_until_begun(claimed))

    async def _begin_until_begun(self, claimed: Claimed) -> None:
        pause, thread_id = _RETRY_SECONDS, claimed.row.thread_id
        try:
            while True:
                try:
                    if await self._at_once.enter(claimed.row.run_id, _caller(claimed)):
                        return await self._begin(claimed)
                    return await self._put_back(claimed)
                except Exception:  # one that cannot begin now must not keep the others from it
                    log.exception("run_not_begun", run_id=claimed.row.run_id)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 30.0)
        finally:
            self._begins -= Counter([thread_id])

    async def _put_back(self, claimed: Claimed) -> None:
        """Have a run wait again: its caller has as many under way as they may."""
        await self._rows.release(claimed.row.run_id, begun=False)
        self._mine.discard(claimed.row.run_id)
        self._slots.give_back(1)
        self._news.set()  # those of others may begin

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _received(self, message: Message) -> None:
        if {"waiting", "missed", "left"} & message.keys():
            self.wake()


def _caller(claimed: Claimed) -> Caller | None:
    return Caller(claimed.caller) if claimed.caller else None


def _passed(moment: datetime | None) -> bool:
    return moment is not None and moment <= datetime.now(UTC)
