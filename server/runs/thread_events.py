"""A thread's events as clients of the event protocol follow them: of one run after another.

    where to begin -> follow_thread: what each run streams -> Projection -> what the client lacks

A client comes back by the id of the last event it has, or by its number. To have the same events
again, the run that it left is read from its beginning; the client is sent what it does not have.
"""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

import orjson

from everturn.checkpoints.sql.runs import RunRow, RunRows
from everturn.server.errors import StateUnreadable
from everturn.server.runs.reading import RunReader
from everturn.server.streams.feed import BEGINNING, Cursor, Dumps
from everturn.server.streams.protocol import Final, Projection, ProtocolEvent, position_of
from everturn.server.streams.thread import DONE, Place, ThreadEvent, ThreadMode

_WANTED: tuple[ThreadMode, ...] = ("run_modes", "state_update")

_INTERRUPT_ID = re.compile("[0-9a-f]{32}")
"""As LangGraph knows the ids of interrupts from other keys."""

_NUMBER = re.compile("[0-9]{1,16}")
_SYNTHETIC = re.compile("synth:([^:]+):([^:]+)")
"""As the events of a run's lifecycle are named."""

_ANY = ""
"""Before every run's id: where a thread has no run yet, all of it is still to come."""


class Since(NamedTuple):
    """The last event that a client has: by its number, or by its id."""

    seq: int | None = None
    place: Place | None = None
    part: int = 0

    @classmethod
    def parse(cls, text: str) -> "Since | None":
        """Read an event's id, or its number; None for what is neither."""
        text = text.strip()
        if _NUMBER.fullmatch(text):
            return cls(seq=int(text))
        if synthetic := _SYNTHETIC.fullmatch(text):
            text = ".".join(synthetic.groups())
        place, _, part = text.rpartition(".")
        if _NUMBER.fullmatch(part) and (found := Place.parse(place)):
            return cls(place=found, part=int(part))
        found = Place.parse(text)
        return cls(place=found, part=1 << 30) if found else None

    def has(self, event: ProtocolEvent) -> bool:
        """Whether the client has an event of the run that it left, or of one before it."""
        if self.place is not None:
            here = (self.place.cursor, self.part)
            return event.run_id == self.place.run_id and (event.cursor, event.part) <= here
        return self.seq is not None and event.seq is not None and event.seq <= self.seq


class ThreadEvents:
    """Follows threads."""

    def __init__(self, reader: RunReader, rows: RunRows, dumps: Dumps) -> None:
        self._reader = reader
        self._rows = rows
        self._dumps = dumps

    async def follow(
        self, thread_id: str, since: Since | None = None
    ) -> AsyncGenerator[list[ProtocolEvent]]:
        """Yield the events of a thread: after one, or from the beginning of the run under way.

        Of the newest run where none is. Now and then, where nothing comes, an empty list. It ends
        when the thread is deleted.

        Raises:
            Moved: this process ends, and the thread goes on.
        """
        begin = await self._begin(thread_id, since)
        following = await self._reader.follow_thread(
            thread_id, begin, _WANTED, lambda: self._edited(thread_id)
        )
        telling = _Telling(self, thread_id)
        async with aclosing(following):
            async for streamed in following:
                told = [event async for event in telling.of(streamed)]
                if since is not None:
                    left = begin.run_id  # whatever is of another run is new
                    told = [e for e in told if e.run_id != left or not since.has(e)]
                    since = None if told else since
                if told or not streamed:
                    yield told

    async def happens(self, thread_id: str) -> None:
        """Wait until a run does something on a thread, or nothing has happened for a while.

        Raises:
            Moved: this process ends.
        """
        following = await self._reader.follow_thread(
            thread_id, None, _WANTED, lambda: self._edited(thread_id)
        )
        async with aclosing(following):
            await anext(following, None)

    async def _begin(self, thread_id: str, since: Since | None) -> Place:
        """Where to begin to read: with the run that the client left."""
        if since and since.place:
            return Place(since.place.run_id, BEGINNING)
        first: str | None = None
        if since and since.seq is not None:
            first = await self._rows.first_from(thread_id, position_of(since.seq))
        elif under_way := await self._rows.ids_from(thread_id, None):
            first = under_way[0]
        if first is None:
            newest = await self._rows.of_thread(thread_id, limit=1, offset=0, status=None)
            first = newest[0].run_id if newest else _ANY
        return Place(first, BEGINNING)

    async def projection(self, run_id: str) -> Projection:
        """Begin to tell of a run."""
        found = await self._rows.asked(run_id)
        if found is None:
            return Projection(run_id)
        position, asked = found
        return Projection(run_id, position, _answered(asked))

    async def final(self, run_id: str, thread_id: str, *, with_state: bool) -> Final:
        """Return what a run came to, with the state of its thread as it is now where asked."""
        row = await self._reader.ended_row(run_id, thread_id)
        if row is None or not with_state:
            return Final(row.status, at=_moment(row)) if row else Final(None)
        try:
            outcome = await self._reader.outcome(row)
        except StateUnreadable:
            return Final(row.status, at=_moment(row))
        values = orjson.loads(self._dumps(outcome.state))
        values = values if isinstance(values, dict) else None
        interrupts = values.pop("__interrupt__", ()) if values else ()
        return Final(row.status, values, interrupts, _moment(row))

    async def _edited(self, thread_id: str) -> bytes:
        rows = await self._rows.of_thread(thread_id, limit=1, offset=0, status=None)
        if not rows:
            return b"null"
        final = await self.final(rows[0].run_id, thread_id, with_state=True)
        return orjson.dumps(final.values)


class _Telling:
    """Tells of one run after another."""

    def __init__(self, events: ThreadEvents, thread_id: str) -> None:
        self._events = events
        self._thread_id = thread_id
        self._run: Projection | None = None

    async def of(self, streamed: list[ThreadEvent]) -> AsyncGenerator[ProtocolEvent]:
        for place, name, data, at in streamed:
            if place is None:
                yield ProtocolEvent("", Cursor(), 0, None, "values", (), data)
                continue
            if self._run is None or self._run.run_id != place.run_id:
                self._run = await self._events.projection(place.run_id)
            if place.cursor != DONE:
                for event in self._run.take(place.cursor, name, data, at):
                    yield event
                continue
            final = await self._events.final(
                place.run_id, self._thread_id, with_state=not self._run.shows_state
            )
            for event in self._run.end(final):
                yield event


def _moment(row: RunRow) -> int:
    """When a run ended, in ms since the epoch."""
    return int(row.updated_at.timestamp() * 1000)


def _answered(kwargs: Mapping[str, Any]) -> list[str]:
    """The ids of the interrupts that a run was started to answer, if its command names them."""
    command = kwargs.get("command")
    answers = command.get("resume") if isinstance(command, Mapping) else None
    ids = list(answers) if isinstance(answers, Mapping) else []
    return ids if all(_INTERRUPT_ID.fullmatch(each) for each in ids) else []
