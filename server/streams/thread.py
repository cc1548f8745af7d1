"""The stream of a thread: what its runs stream, one after another, and the edits of its state.

Who follows a thread is message of each run that begins on it, in any process, and of each edit. The
runs of a thread follow one another, and so do their streams. A place in it is an event of a run;
edits have none: they reach those who listen.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Literal, NamedTuple

from langchain_core.utils.uuid import uuid7

from everturn.checkpoints.shared.peers import Message, Peers
from everturn.server.streams.feed import SILENT_SECONDS, Cursor, Event
from everturn.server.streams.moved import Moved

DONE = Cursor(10**9, 0)
"""Behind whatever a run streams: that it is done."""

_DELETED = ""
"""In place of a run's id: the thread is gone, and so ends its stream."""

_LEAVING = "-"
"""In place of a run's id: this process ends, and the stream goes on in another one."""

ThreadMode = Literal["run_modes", "lifecycle", "state_update"]


class Place(NamedTuple):
    """A place in a thread's stream: a run, and an event of it."""

    run_id: str = ""
    cursor: Cursor = Cursor()

    @classmethod
    def parse(cls, text: str) -> "Place | None":
        """Read an event's id; `-` and `-1` are the beginning. None for what never was one."""
        if text.strip() in {"-", "-1"}:
            return cls()
        run_id, dot, place = text.strip().rpartition(".")
        cursor = Cursor.parse(place)
        return cls(run_id, cursor) if dot and cursor is not None else None

    def __str__(self) -> str:
        return f"{self.run_id}.{self.cursor}"


class ThreadEvent(NamedTuple):
    """One event and where it stands; None for what cannot be come back to."""

    cursor: Place | None
    name: str
    data: bytes
    at: int = 0
    """When it happened, in ms since the epoch; 0 where that is not known."""


class Watch:
    """Tells those who follow a thread what happens on it."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._following: dict[str, set[asyncio.Queue[str | None]]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._leaving = False
        peers.subscribe(self._received)

    def close(self) -> None:
        """End the streams of threads: at once, or with the run that is under way."""
        self._leaving = True
        for thread_id in self._following:
            self._pass_on(thread_id, _LEAVING)

    def started(
        self, thread_id: str, run_id: str, written: asyncio.Future[Any], *, here: bool
    ) -> None:
        """A run starts, or waits for others; who follows it looks for it.

        Args:
            thread_id: of its thread.
            run_id: names it.
            written: done when its row is there.
            here: it is found in this process; else it is found once it is written.
        """
        if here:
            self._pass_on(thread_id, run_id)
        else:

            def is_there(done: asyncio.Future[Any]) -> None:
                if not done.cancelled() and done.exception() is None:
                    self._pass_on(thread_id, run_id)

            written.add_done_callback(is_there)
        self._publish(thread_id, run_id, written)

    def edited(self, thread_id: str) -> None:
        """The thread's state is another one, by no run."""
        self._pass_on(thread_id, None)
        self._publish(thread_id, None, None)

    def deleted(self, thread_id: str) -> None:
        """The thread is being deleted; the other processes are sent that by `Elsewhere`."""
        self._pass_on(thread_id, _DELETED)

    @contextmanager
    def on(self, thread_id: str) -> Iterator[asyncio.Queue[str | None]]:
        """A queue of what happens: the ids of runs that begin, None for an edit, `_DELETED`."""
        happens: asyncio.Queue[str | None] = asyncio.Queue()
        others = self._following.setdefault(thread_id, set())
        others.add(happens)
        if self._leaving:
            happens.put_nowait(_LEAVING)
        try:
            yield happens
        finally:
            others.discard(happens)
            if not others and self._following.get(thread_id) is others:
                del self._following[thread_id]

    def _publish(
        self, thread_id: str, run_id: str | None, written: asyncio.Future[Any] | None
    ) -> None:
        async def publish() -> None:
            if written is not None:
                await asyncio.wait({written})
            await self._peers.publish({"thread": thread_id, "started": run_id})

        if not self._peers.single:
            sending = asyncio.create_task(publish(), name="thread watch")
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    def _pass_on(self, thread_id: str, run_id: str | None) -> None:
        for happens in self._following.get(thread_id, ()):
            happens.put_nowait(run_id)

    def _received(self, message: Message) -> None:
        if "thread" in message:
            self._pass_on(message["thread"], message["started"])
        if "deleted" in message:
            self.deleted(message["deleted"])


async def follow_thread(
    watch: Watch,
    thread_id: str,
    after: Place | None,
    *,
    runs_after: Callable[[str, str | None], Awaitable[list[str]]],
    follow: Callable[[str, Cursor | None], Awaitable[AsyncGenerator[list[Event]]]],
    state: Callable[[], Awaitable[bytes]],
    modes: Collection[ThreadMode],
) -> AsyncGenerator[list[ThreadEvent]]:
    """Yield what happens on a thread after a place, or from now on, until it is deleted.

    Args:
        watch: what tells of it.
        thread_id: of the thread.
        after: the last event that was seen.
        runs_after: the thread's runs from one on, by their ids, oldest first; those under way
            where that is None.
        follow: the events of a run after a place, or from now on.
        state: the thread's state as JSON, for those who are message of edits.
        modes: what is wanted.

    Raises:
        Moved: this process ends, and the thread goes on.
    """
    with watch.on(thread_id) as happens:
        # Runs that start from now on have greater ids.
        stands = after or Place(str(uuid7()), DONE)
        known = await runs_after(thread_id, after.run_id if after else None)
        begin = [(run_id, _begins(run_id, after)) for run_id in known]
        async for run_id, place in _one_after_another(begin, happens):
            if run_id == _LEAVING:
                raise Moved(stands)
            if place == DONE:
                yield []  # nothing has happened for a while, or nothing is left of that run
            elif run_id:
                async with aclosing(_of_run(run_id, await follow(run_id, place), modes)) as events:
                    async for some in events:
                        yield some
                stands = Place(run_id, DONE)
            elif "state_update" in modes:
                yield [ThreadEvent(None, "state_update", await state())]


def _begins(run_id: str, after: Place | None) -> Cursor | None:
    """Where to begin with a run that was there already; None is where it is now."""
    if after is None:
        return None
    return after.cursor if run_id == after.run_id else Cursor()


async def _one_after_another(
    begin: list[tuple[str, Cursor | None]], happens: asyncio.Queue[str | None]
) -> AsyncGenerator[tuple[str | None, Cursor | None]]:
    """Runs and where to begin with each, None for an edit; `DONE` where nothing happens."""
    for run in begin:
        yield run
    known = {run_id for run_id, _ in begin}
    while True:
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                run_id = await happens.get()
        except TimeoutError:
            yield None, DONE
            continue
        if run_id == _DELETED:
            return
        if run_id not in known:
            yield run_id, Cursor()


async def _of_run(
    run_id: str, events: AsyncGenerator[list[Event]], modes: Collection[ThreadMode]
) -> AsyncGenerator[list[ThreadEvent]]:
    try:
        async with aclosing(events):
            async for some in events:
                wanted = [
                    ThreadEvent(Place(run_id, cursor), name, data, at)
                    for cursor, name, data, at in some
                    if "run_modes" in modes or (name == "metadata" and "lifecycle" in modes)
                ]
                if wanted or not some:
                    yield wanted
    except Moved as moved:
        raise Moved(Place(run_id, moved.place)) from None
    if "run_modes" in modes or "lifecycle" in modes:
        done = b'{"status":"run_done","run_id":"%s"}' % run_id.encode()
        yield [ThreadEvent(Place(run_id, DONE), "metadata", done)]
