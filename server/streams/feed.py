"""What a run streams: numbered once, handed to who listens now, logged for who comes later.

Live and replay are one sequence: a listener names the last event it has and gets all after it, from
memory as far as that goes back, from the log before that.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, ClassVar, NamedTuple, Protocol

from everturn.checkpoints.shared.event_log import END, Frame

_MAX_BYTES = 262_144
"""Of one running run, in memory; a listener who is further behind reads the log."""
_UNREAD_BYTES = 67_108_864
"""Of all runs of this process: kept beyond that, for listeners who have yet to read it."""
_BATCH_BYTES = 65_536
"""Handed to a listener at once, or one event that is larger."""
_EVENT_BYTES = 256
"""What an event takes beside its data."""

Dumps = Callable[[Any], bytes]
"""Makes JSON of an event's data."""

_NUMBER = re.compile("[0-9]{1,18}")

SILENT_SECONDS = 5.0
"""After which a listener gets an empty list, where there is nothing new."""

GAP = "gap"
"""The event that says that some before it are lost: the log was trimmed."""


class Cursor(NamedTuple):
    """A place in a stream: the attempt and the number of the last event that was seen."""

    attempt: int = 0
    number: int = 0

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        """Read an event's id; `-1` is the beginning. None for what never was one."""
        if text.strip() == "-1":
            return cls()
        attempt, dash, number = text.strip().partition("-")
        if not (dash and _NUMBER.fullmatch(attempt) and _NUMBER.fullmatch(number)):
            return None
        return cls(int(attempt), int(number))

    def __str__(self) -> str:
        return f"{self.attempt}-{self.number}"


BEGINNING = Cursor()


class Event(NamedTuple):
    """One event and where it stands."""

    cursor: Cursor
    name: str
    data: bytes
    at: int = 0
    """When it happened, in ms since the epoch; 0 where that is not known."""


class Log(Protocol):
    """Where events are read again; see `checkpoints.shared.event_log`."""

    def append(self, run_id: str, attempt: int, frame: Frame) -> None: ...

    async def read(self, run_id: str, after: tuple[int, int]) -> list[tuple[int, Frame]]: ...

    async def last(self, run_id: str) -> tuple[int, Frame] | None: ...

    async def written(self) -> None: ...


class NoLog:
    """The log of a run that streams nothing: there is nothing to be read again."""

    def append(self, run_id: str, attempt: int, frame: Frame) -> None: ...

    async def read(self, run_id: str, after: tuple[int, int]) -> list[tuple[int, Frame]]:
        return []

    async def last(self, run_id: str) -> tuple[int, Frame] | None:
        return None

    async def written(self) -> None: ...


class Feed:
    """The events of one run that runs in this process."""

    _unread_of_all: ClassVar[int] = 0

    def __init__(self, run_id: str, log: Log, attempt: int = 1) -> None:
        self.run_id = run_id
        self._log = log
        self._attempt = attempt
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._number = 0
        self._ended = False
        self._waiting: set[asyncio.Future[bool]] = set()
        self._listeners: dict[object, Cursor] = {}
        """What each of them has read."""
        self._unread = 0
        """Bytes that are kept for them alone."""

    @property
    def attempt(self) -> int:
        """How often the run was started, this time included."""
        return self._attempt

    @property
    def end(self) -> Cursor:
        """Where the newest event stands."""
        return Cursor(self._attempt, self._number)

    def publish(self, name: str, data: bytes, *, logged: bool = True) -> None:
        """Number an event, hand it on and have it logged."""
        self._number += 1
        at = time.time_ns() // 1_000_000
        if logged:
            self._log.append(self.run_id, self._attempt, Frame(self._number, name, data, at))
        self._events.append(Event(self.end, name, data, at))
        self._bytes += _size(data)
        self._trim()
        self._wake()

    def _trim(self) -> None:
        """Drop the oldest events; those that a listener has yet to read while there is no room."""
        read = min(self._listeners.values(), default=self.end)
        room = _MAX_BYTES + _UNREAD_BYTES - (Feed._unread_of_all - self._unread)
        while self._bytes > _MAX_BYTES and len(self._events) > 1:
            if self._events[0].cursor > read and self._bytes <= room:
                break
            self._bytes -= _size(self._events.popleft().data)
        unread = max(0, self._bytes - _MAX_BYTES) if self._listeners else 0
        Feed._unread_of_all += unread - self._unread
        self._unread = unread

    def close(self, *, for_good: bool = True, about: bytes = b"null") -> None:
        """Say that no more will come; or, where the run goes on elsewhere, none from here.

        `about`, JSON, is logged with the end, and no client sees it.
        """
        self._number += 1
        if for_good:
            self._log.append(self.run_id, self._attempt, Frame(self._number, END, about))
        self._ended = True
        self._wake()

    async def follow(self, after: Cursor) -> AsyncGenerator[list[Event]]:
        """Yield all events after a place, as many at once as one write should hold, until the end.

        Now and then, where nothing comes, an empty list.
        """
        listener = object()
        try:
            while True:
                self._listeners[listener] = after  # back for more: all up to here was written
                if self._events and self._misses(after):
                    await self._log.written()  # what memory has dropped may wait there yet
                    events, _ = await _read(self._log, self.run_id, after)
                    first = self._events[0].cursor
                    news = [event for event in events if event.cursor < first]
                    if not news and after < _before(first):
                        news = [_gap(after, first)]
                    if news:
                        after = news[-1].cursor
                        yield news
                        continue
                news = self._after(after)
                if news:
                    after = news[-1].cursor
                    yield news
                    if after < self.end:
                        await asyncio.sleep(0)  # who has left is noticed, and others are served
                elif self._ended:
                    return
                elif not await self._news():
                    yield []
        finally:
            self._listeners.pop(listener, None)
            self._trim()

    def _misses(self, after: Cursor) -> bool:
        """Whether events between a place and the first one in memory are in the log only."""
        first = self._events[0].cursor
        return after < first and first != (1, 1) and after != (first.attempt, first.number - 1)

    def _after(self, cursor: Cursor) -> list[Event]:
        if cursor >= self.end:
            return []
        if not self._events or cursor < self._events[0].cursor:
            newer = len(self._events)
        else:  # numbers have no holes: how many are newer is a subtraction
            newer = self._events[-1].cursor.number - cursor.number
        news: list[Event] = []
        left = _BATCH_BYTES
        for i in range(len(self._events) - newer, len(self._events)):
            news.append(self._events[i])
            left -= _size(news[-1].data)
            if left <= 0:
                break
        return news

    async def _news(self) -> bool:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        patience = loop.call_later(SILENT_SECONDS, _wake_up, waiter, False)
        self._waiting.add(waiter)
        try:
            return await waiter
        finally:
            patience.cancel()
            self._waiting.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiting:
            _wake_up(waiter, True)


def _size(data: bytes) -> int:
    return len(data) + _EVENT_BYTES


def _wake_up(waiter: asyncio.Future[bool], news: bool) -> None:
    if not waiter.done():
        waiter.set_result(news)


async def follow_log(
    log: Log,
    run_id: str,
    after: Cursor | None,
    news: asyncio.Event,
    over: Callable[[], Awaitable[bool]],
    here: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[list[Event]]:
    """Yield what a run elsewhere streams after a place, or from now on, until its end.

    Or until it has come here: then its feed goes on.

    Args:
        log: where it writes.
        run_id: of the run.
        after: the last event that was seen; None for whatever is newest.
        news: set when the log may have grown.
        over: says whether nothing will come any more; asked where nothing comes for long.
        here: says whether the run has come to this process; `news` is set then, too.
    """
    gone, waited = await over(), False
    if after is None:
        last = await log.last(run_id)
        after = Cursor(last[0], last[1].number) if last else Cursor()
        if last and last[1].name == END:
            return
    while True:
        news.clear()
        events, ended = await _read(log, run_id, after)
        if events:
            after = events[-1].cursor
            yield events
        if ended:
            return
        if here():
            return
        if events:
            continue  # the log is read page by page
        if gone and (waited or after == BEGINNING):
            return  # what was streamed last had the time to be written
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                await news.wait()
        except TimeoutError:
            waited = gone
            gone = await over()  # and once more what came in between
            yield []


async def _read(log: Log, run_id: str, after: Cursor) -> tuple[list[Event], bool]:
    """Read a page of the log after a place, and if it ends; a `gap` where some are lost."""
    frames = await log.read(run_id, after)
    events: list[Event] = []
    place = after
    for attempt, frame in frames:
        if frame.name == END:
            continue
        cursor = Cursor(attempt, frame.number)
        if place < _before(cursor):
            events.append(_gap(place, cursor))
        events.append(Event(cursor, frame.name, frame.data, frame.at))
        place = cursor
    return events, bool(frames) and frames[-1][1].name == END


def _gap(after: Cursor, first: Cursor) -> Event:
    """Say that nothing is kept of what lay between two events."""
    lost = b'{"after":"%s","before":"%s"}' % (str(after).encode(), str(first).encode())
    return Event(_before(first), GAP, lost)


def _before(cursor: Cursor) -> Cursor:
    """The place just before an event; before the first of an attempt lies the attempt before."""
    return Cursor(cursor.attempt, cursor.number - 1) if cursor.number > 1 else Cursor()
