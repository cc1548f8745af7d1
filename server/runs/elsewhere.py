"""Runs of other processes, or of none yet: known by their rows, read through the event log.

Those of other processes are ended by a message, those that wait are taken to be ended here.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from structlog import get_logger

from everturn.checkpoints.shared.event_log import END
from everturn.checkpoints.shared.peers import Peers
from everturn.checkpoints.sql.runs import UNFINISHED, Claimed, RunRow, RunRows
from everturn.server.errors import InvalidInput
from everturn.server.runs.here import Here
from everturn.server.runs.injection import Message
from everturn.server.runs.run import CancelAction, Run
from everturn.server.streams.feed import BEGINNING, Cursor, Event, Log, follow_log
from everturn.server.streams.moved import Moved

log = get_logger(__name__)

EndClaimed = Callable[[Claimed, CancelAction], Awaitable[None]]
FollowHere = Callable[[Run, Cursor], AsyncGenerator[list[Event]]]


class Elsewhere:
    """Follows and ends runs, whichever process they are in."""

    def __init__(
        self,
        here: Here,
        rows: RunRows,
        events: Log,
        peers: Peers,
        end: EndClaimed,
        let_go: Callable[[], None],
        follow_here: FollowHere,
    ) -> None:
        """Wire it up.

        Args:
            here: the runs of this process.
            rows: of all runs.
            events: what they streamed.
            peers: the other processes.
            end: ends a run that waited and was taken.
            let_go: has those wait again that were taken, perhaps, and could not be ended.
            follow_here: yields what a run streams that has come here.
        """
        self._here = here
        self._end = end
        self._let_go = let_go
        self._follow_here = follow_here
        self._rows = rows
        self._events = events
        self._peers = peers
        self._sending: set[asyncio.Task[None]] = set()
        self._injecting: dict[str, asyncio.Future[bool]] = {}
        """By the ids of messages that were sent to runs of other processes."""
        peers.subscribe(self._received)

    async def unfinished(self, run_ids: Sequence[str], thread_id: str | None) -> list[RunRow]:
        """Return those of these runs that are under way in another process, or wait for one."""
        rows = [await self._rows.get(each, thread_id) for each in run_ids if each not in self._here]
        return [row for row in rows if row and row.status in UNFINISHED]

    async def unfinished_on(self, thread_id: str) -> list[RunRow]:
        """Return the runs of a thread that are under way in another process, or wait for one."""
        rows = await self._rows.unfinished(thread_id=thread_id)
        return [row for row in rows if row.run_id not in self._here]

    async def follow(
        self, run_id: str, thread_id: str | None, after: Cursor | None
    ) -> AsyncGenerator[list[Event]]:
        """Yield what a run streams after a place, or from now on, until its end.

        Now and then, where nothing comes, an empty list.

        Raises:
            Moved: it has come here, and this process ends before it does.
        """

        async def over() -> bool:
            if thread_id is None:  # it has no row, and its log is kept for a while after its end
                return await self._events.last(run_id) is None
            row = await self._rows.get(run_id, thread_id)
            return row is None or row.status not in UNFINISHED

        if after is None and (last := await self._events.last(run_id)) and last[1].name != END:
            after = Cursor(last[0], last[1].number)

        def came() -> bool:
            return self._here.find(run_id, thread_id) is not None

        async with self._peers.news(run_id) as news:
            with self._here.awaited(run_id, news):
                following = follow_log(self._events, run_id, after, news, over, came)
                async with aclosing(following):
                    async for events in following:
                        after = events[-1].cursor if events else after
                        yield events
        if run := self._here.find(run_id, thread_id):
            async with aclosing(self._follow_here(run, after or BEGINNING)) as here:
                async for events in here:
                    yield events

    async def ended(self, row: RunRow) -> AsyncGenerator[None]:
        """Wait for the end of a run; yields now and then, so that the caller can do something."""
        if run := self._here.find(row.run_id, row.thread_id):
            await run.done.wait()
            return
        following = self.follow(row.run_id, row.thread_id, None)
        with suppress(Moved):
            async with aclosing(following):
                async for _ in following:
                    yield

    async def until_ended(self, row: RunRow) -> None:
        """Wait for the end of a run."""
        async for _ in self.ended(row):
            pass

    def cancel(self, rows: Sequence[RunRow], action: CancelAction) -> asyncio.Task[None]:
        """Ask the processes of runs to end them; the task is done when they have ended."""
        return self._send(self._cancel(rows, action))

    async def inject(self, row: RunRow, message: Message) -> bool:
        """Hand a message to a run; False where it takes none, and has ended.

        Raises:
            InvalidInput: it does not fit the run's graph.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._injecting[message["id"]] = answer
        sending = self._send(self._inject(row, message))
        try:
            awaited: set[asyncio.Future[Any]] = {answer, sending}
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            return answer.done() and answer.result()
        finally:
            sending.cancel()
            self._injecting.pop(message["id"], None)

    async def _inject(self, row: RunRow, message: Message) -> None:
        # Repeated, as `_cancel` is.
        sent: Any = {"inject": row.run_id, "message": dict(message)}
        await self._peers.publish(sent)
        async for _ in self.ended(row):
            self._received(sent)
            await self._peers.publish(sent)

    async def _put(self, run: Run, message: Message) -> None:
        """Hand a message of another process to a run of this one, and say what became of it."""
        said: dict[str, Any] = {"injected": message["id"]}
        try:
            said["taken"] = await run.inbox.put(message)
        except Exception as error:
            said["refused"] = str(error)
        self._answered(said)
        await self._peers.publish(said)

    def _answered(self, said: Mapping[str, Any]) -> None:
        answer = self._injecting.get(said["injected"])
        if answer is None or answer.done():
            return
        if refused := said.get("refused"):
            answer.set_exception(InvalidInput(refused))
        elif said["taken"]:
            answer.set_result(True)

    def ask_to_cancel(self, run_id: str) -> None:
        """Ask once that a run is ended, by whichever process has it."""

        async def ask() -> None:
            await self.end_waiting([run_id], "interrupt")
            await self._peers.publish({"cancel": [run_id], "action": "interrupt"})

        self._send(ask())

    async def end_waiting(self, run_ids: Sequence[str], action: CancelAction) -> None:
        """End those of these runs that no process has."""
        try:
            for claimed in await self._rows.claim_these(run_ids):
                await self._end(claimed, action)
        except BaseException:
            self._let_go()
            raise

    async def thread_deleted(self, thread_id: str) -> None:
        """Have every process know that a thread is being deleted."""
        self._here.thread_deleted(thread_id)
        await self._peers.publish({"deleted": thread_id})

    async def cancel_all(self, statuses: Sequence[str]) -> None:
        """Ask all processes to end their runs of these statuses."""
        await self._peers.publish({"cancel_all": list(statuses)})

    async def close(self) -> None:
        """Send no more; other processes do what the messages ask for."""
        for sending in self._sending:
            sending.cancel()
        if self._sending:
            await asyncio.wait(self._sending)

    async def _cancel(self, rows: Sequence[RunRow], action: CancelAction) -> None:
        # A process may die before it reads the message. Then another takes its run over, perhaps
        # this one, and must be asked too: so the message is repeated until the runs have ended.
        message: Any = {"cancel": [row.run_id for row in rows], "action": action}
        await self.end_waiting(message["cancel"], action)
        await self._peers.publish(message)
        for row in rows:
            async for _ in self.ended(row):
                self._received(message)
                await self.end_waiting(message["cancel"], action)
                await self._peers.publish(message)

    def _send(self, message: Any) -> asyncio.Task[None]:
        sending = asyncio.create_task(message)
        self._sending.add(sending)
        sending.add_done_callback(self._sent)
        return sending

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled() and (error := sending.exception()):
            log.warning("runs_not_ended", error=str(error))

    def _received(self, message: Any) -> None:
        """Do what another process asks for."""
        for run_id in message.get("cancel", ()):
            if (run := self._here.find(run_id, None)) and not run.done.is_set():
                run.stop(message["action"])
        if (wanted := message.get("inject")) and (run := self._here.find(wanted, None)):
            self._send(self._put(run, message["message"]))
        if "injected" in message:
            self._answered(message)
        if thread_id := message.get("deleted"):
            self._here.thread_deleted(thread_id)
        if statuses := message.get("cancel_all"):
            stop_all(self._here, statuses)


def stop_all(here: Here, statuses: Sequence[str]) -> None:
    """End the runs of this process that have one of these statuses."""
    for run in here.unfinished():
        if run.row.status in statuses:
            run.stop("interrupt")
