r"""The event log of a run: what it streamed, for clients that come later or come back.

    {everturn:run:<run id>}:events    STREAM; an entry holds the events of some milliseconds
        id     <attempt>-<number of the last event in it>
        first  the number of the first one
        frames see `frames`
        times  when each of them happened; see `times_of`
    {everturn:run:<run id>}:models    HASH    what many of its frames are like; see `frames`

Explicit ids: Redis refuses one that does not grow, so a process that was overtaken cannot write
into the log of its successor. An entry for many events, because a token is some 30 bytes and an
entry costs a command. The log is for reading again; a client that follows
the run in its own process is served from memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError, ResponseError
from structlog import get_logger

from everturn.checkpoints.cancelling import cancelled
from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.shared.frames import Frame as Frame  # noqa: PLC0414 - re-exported
from everturn.checkpoints.shared.frames import (
    Packer,
    models_of,
    opened,
    times_of,
    unpack,
    unzipped,
)
from everturn.checkpoints.shared.kept_bytes import KeptBytes

log = get_logger(__name__)

END = "__end__"
"""The name of the event that says no more will come; clients do not see it."""

_MAX_DELAY = 0.02
"""Seconds an event waits for others before its entry is written."""
_MAX_ENTRY_BYTES = 65_536
_PAGE_ENTRIES = 4
_MAX_TRIP_BYTES = 1_048_576
"""Written at once; one run's events may be more."""
_MAX_WAITING_BYTES = 8_388_608
"""Waiting to be written; beyond it the oldest events of a run that has more are not."""
BRIEF_TTL = 10
"""Seconds the log of a run is kept after its end that is not resumable."""
_MAX_PACKERS = 10_000
_RUNNING_TTL = 86_400
"""Seconds a log is kept after its last entry while its run has not ended.

Long, because a run may wait for its turn or think; not for ever, because its process may die.
"""


_QUICK_BYTES = 32_768
"""Packed between two other things; more of it is packed in a thread."""
_MAX_KNOWN = 64
"""Runs whose models a reader remembers."""
_SLOW_READER = 120
"""Seconds a log is kept for a reader who has more to read: a page may take so long to send."""

_Waiting = dict[tuple[str, int], deque[Frame]]
"""By run and attempt."""
Models = dict[bytes, bytes]


class _Entry(NamedTuple):
    """What is written at once of one run."""

    id: str
    first: int
    times: bytes
    packed: bytes
    models: Models


class EventLog:
    """The logs of all runs at one Redis. Use `open_event_log`: it runs the writer.

    Args of `open_event_log`:
        prefix: what all keys begin with.
        ttl: seconds a log is kept after the run's end; of a run that says so, `BRIEF_TTL`.
        max_bytes: of one run; the oldest events go first.
        max_bytes_of_all: of all runs of this process; then those of ended runs go first.
        announced: publish each entry to other processes; see `Peers.news`.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        prefix: str,
        ttl: int,
        max_bytes: int,
        max_bytes_of_all: int,
        *,
        announced: bool = False,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._ttl = ttl
        self._kept = KeptBytes(max_bytes, max_bytes_of_all)
        self._announced = announced
        self._spread = isinstance(client, RedisCluster)  # whose pipelines take no PUBLISH
        self._waiting: _Waiting = {}
        self._waiting_bytes = 0
        self._wake_up = asyncio.Event()
        self._writing = asyncio.Lock()
        self._packers: dict[tuple[str, int], Packer] = {}
        self._known: dict[str, Models] = {}
        self._brief: set[str] = set()
        self.brief = BriefLog(self)
        """The same for runs whose log is needed for a moment only."""

    @property
    def kept_bytes(self) -> int:
        """What the logs hold that this process wrote."""
        return self._kept.all

    def append(self, run_id: str, attempt: int, frame: Frame, *, brief: bool = False) -> None:
        """Have an event written with the next entry of its run; after its END, `brief` counts."""
        if brief and frame.name == END:
            self._brief.add(run_id)
        frames = self._waiting.setdefault((run_id, attempt), deque())
        frames.append(frame)
        self._waiting_bytes += len(frame.data)
        while self._waiting_bytes > _MAX_WAITING_BYTES and len(frames) > 1:
            self._waiting_bytes -= len(frames.popleft().data)
        self._wake_up.set()

    async def read(self, run_id: str, after: tuple[int, int]) -> list[tuple[int, Frame]]:
        """Read the next events after (attempt, number), each with its attempt; END among them.

        A page of them, which has an end even if they are many; none where there are no more.
        """
        with redis_errors():
            # redis-py's types allow for clients that decode; ours does not.
            entries: Any = await self._client.xrange(
                self._key(run_id), min=f"({after[0]}-{after[1]}", count=_PAGE_ENTRIES
            )
            if len(entries) == _PAGE_ENTRIES:
                await self._wait_for_reader(run_id)
        frames = await self._frames(run_id, entries)
        return [each for each in frames if (each[0], each[1].number) > after]

    async def read_all(self, run_id: str) -> AsyncGenerator[Frame]:
        """Read all events of a run, page by page."""
        after = (0, 0)
        while page := await self.read(run_id, after):
            after = (page[-1][0], page[-1][1].number)
            for _, frame in page:
                yield frame

    async def last(self, run_id: str) -> tuple[int, Frame] | None:
        """Read the newest event, with its attempt; None where there is none."""
        with redis_errors():
            entries: Any = await self._client.xrevrange(self._key(run_id), count=1)
        frames = await self._frames(run_id, entries)
        return frames[-1] if frames else None

    async def _frames(self, run_id: str, entries: Any) -> list[tuple[int, Frame]]:
        """The frames of entries, each with its attempt."""
        opened_entries = [
            (int(name.partition(b"-")[0]), fields, opened(fields[b"frames"]))
            for name, fields in entries
        ]
        needed = {model for _, _, lines in opened_entries for model in models_of(lines)}
        models = await self._models(run_id, needed) if needed else {}
        return [
            (attempt, frame)
            for attempt, fields, lines in opened_entries
            for frame in unpack(int(fields[b"first"]), lines, models, fields.get(b"times", b""))
        ]

    async def _models(self, run_id: str, needed: set[bytes]) -> Models:
        known = self._known.pop(run_id, {})
        if missing := [*(needed - known.keys())]:
            with redis_errors():
                found: Any = await self._client.hmget(self._models_key(run_id), missing)
            known |= {n: unzipped(each) for n, each in zip(missing, found, strict=True) if each}
        self._known[run_id] = known  # the newest are last
        while len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return known

    async def _wait_for_reader(self, run_id: str) -> None:
        """Keep a log that will soon be gone for one who has more to read of it."""
        left = await self._client.ttl(self._key(run_id))
        if 0 <= left < _SLOW_READER:
            for key in self._keys(run_id):
                await self._client.expire(key, _SLOW_READER)

    async def delete(self, *run_ids: str) -> None:
        """Forget what runs that have ended streamed."""
        await self.written()  # what is on its way would be there again
        for each in run_ids:
            self._kept.forget(each)
        with redis_errors():
            await asyncio.gather(*(self._client.unlink(*self._keys(each)) for each in run_ids))

    async def write(self) -> None:
        """Write what waits, entry after entry. Never ends."""
        while True:
            await self._wake_up.wait()
            await asyncio.sleep(_MAX_DELAY)
            await self.flush()

    async def written(self) -> None:
        """Wait until all that was appended so far can be read, or was given up."""
        # In a task of its own: a reader who leaves must not cost all runs what was on its way.
        await asyncio.shield(asyncio.create_task(self.flush()))

    async def flush(self) -> None:
        """Write what waits now, of many runs in one trip, after what is being written."""
        async with self._writing:
            self._wake_up.clear()
            waiting, self._waiting = self._waiting, {}
            self._waiting_bytes = 0
            try:
                while waiting:
                    await self._write(_trip(waiting))
            finally:  # what a cancelled writer leaves is the next one's
                for key, frames in waiting.items():
                    self._waiting[key] = frames + self._waiting.get(key, deque())

    async def _write(self, waiting: _Waiting) -> None:
        size = sum(len(frame.data) for frames in waiting.values() for frame in frames)
        if size <= _QUICK_BYTES:
            entries = self._packed(waiting)
        else:
            entries = await asyncio.to_thread(self._packed, waiting)
        try:
            with redis_errors():
                async with self._client.pipeline(transaction=False) as pipeline:
                    for (run_id, attempt), frames in waiting.items():
                        ended = frames[-1].name == END
                        self._queue(pipeline, run_id, entries[run_id, attempt], ended=ended)
                        if self._announced and not self._spread:
                            pipeline.publish(self._news(run_id), b"")
                    for reply in await pipeline.execute(raise_on_error=False):
                        if isinstance(reply, ResponseError):
                            log.warning("event_log_refused", error=str(reply))
                        elif isinstance(reply, RedisError):  # of a node that went meanwhile
                            raise reply
                if self._announced and self._spread:
                    runs = {run_id for run_id, _ in waiting}
                    await asyncio.gather(
                        *(self._client.publish(self._news(each), b"") for each in runs)
                    )
        except CheckpointsError as error:
            # The run goes on and its listeners have its events; only reading again has a gap.
            log.warning("event_log_not_written", error=str(error), runs=len(waiting))
            for key in waiting:
                self._packers.pop(key, None)  # its models may not be there

    def _packed(self, waiting: _Waiting) -> dict[tuple[str, int], list[_Entry]]:
        found = {}
        for key, frames in waiting.items():
            packer = self._packers.setdefault(key, Packer(key[1]))
            found[key] = [
                _Entry(
                    f"{key[1]}-{some[-1].number}",
                    some[0].number,
                    times_of(some),
                    *packer.pack(some),
                )
                for some in _entries(frames)
            ]
            if frames[-1].name == END:
                del self._packers[key]
        while len(self._packers) > _MAX_PACKERS:  # of runs that went on elsewhere
            del self._packers[next(iter(self._packers))]
        return found

    def _queue(self, pipeline: Any, run_id: str, entries: Sequence[_Entry], *, ended: bool) -> None:
        key, models_key = self._keys(run_id)
        ttl = self._ttl_of(run_id) if ended else max(self._ttl, _RUNNING_TTL)
        for entry in entries:
            if entry.models:
                pipeline.hset(models_key, mapping=entry.models)
                pipeline.expire(models_key, 2 * ttl)
            fields = {"first": entry.first, "times": entry.times, "frames": entry.packed}
            pipeline.xadd(key, fields, id=entry.id)
            more = sum(map(len, entry.models.values()))
            self._kept.add(run_id, entry.id, len(entry.packed) + len(entry.times), more)
        for trimmed, oldest in self._kept.trim(run_id):
            pipeline.xtrim(self._key(trimmed), minid=oldest, approximate=False)
            if trimmed != run_id:  # it has ended, and how is not written by a model
                # Not pipeline.unlink(), which does nothing in a cluster.
                pipeline.execute_command("UNLINK", self._models_key(trimmed))
        pipeline.expire(key, ttl)
        if ended:
            pipeline.expire(models_key, ttl)
            self._kept.end(run_id, ttl)

    def _ttl_of(self, run_id: str) -> int:
        """Seconds a log is kept after its END."""
        if run_id not in self._brief:
            return self._ttl
        self._brief.discard(run_id)
        return BRIEF_TTL

    def _news(self, run_id: str) -> str:
        return f"{self._prefix}:run:{run_id}:news"

    def _key(self, run_id: str) -> str:
        return f"{{{self._prefix}:run:{run_id}}}:events"

    def _models_key(self, run_id: str) -> str:
        return f"{{{self._prefix}:run:{run_id}}}:models"

    def _keys(self, run_id: str) -> tuple[str, str]:
        return self._key(run_id), self._models_key(run_id)


class BriefLog:
    """The event log, for runs that nobody may join again when they have ended.

    It is kept for `BRIEF_TTL` seconds then: for a client that lost its connection just before.
    """

    def __init__(self, events: EventLog) -> None:
        self.read, self.last, self.written = events.read, events.last, events.written
        self._events = events

    def append(self, run_id: str, attempt: int, frame: Frame) -> None:
        """Have an event written; see `EventLog`."""
        self._events.append(run_id, attempt, frame, brief=True)


@asynccontextmanager
async def open_event_log(
    client: Redis | RedisCluster,
    *,
    prefix: str = "everturn",
    ttl: int = 300,
    max_bytes: int = 16_777_216,
    max_bytes_of_all: int = 268_435_456,
    announced: bool = False,
) -> AsyncIterator[EventLog]:
    """Run the writer; at the end, write what still waits."""
    events = EventLog(client, prefix, ttl, max_bytes, max_bytes_of_all, announced=announced)
    writer = asyncio.create_task(events.write(), name="event log")
    try:
        yield events
    finally:
        await cancelled(writer)
        await events.flush()


def _trip(waiting: _Waiting) -> _Waiting:
    """Take out as much as is written at once."""
    taken: _Waiting = {}
    size = 0
    while waiting and size < _MAX_TRIP_BYTES:
        key = next(iter(waiting))
        taken[key] = waiting.pop(key)
        size += sum(len(frame.data) for frame in taken[key])
    return taken


def _entries(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Cut into entries of bounded size; an event larger than that has one of its own."""
    entries: list[list[Frame]] = [[]]
    size = 0
    for frame in frames:
        if entries[-1] and size + len(frame.data) > _MAX_ENTRY_BYTES:
            entries.append([])
            size = 0
        entries[-1].append(frame)
        size += len(frame.data)
    return entries
