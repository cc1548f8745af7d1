r"""The event log of a run: what it streamed, for clients that come later or come back.

    {everturn:run:<run id>}:events    STREAM; an entry holds the events of some milliseconds
        id     <attempt>-<number of the last event in it>
        first  the number of the first one
        frames (name \n data \n)*     data is JSON, which holds no raw line break

Explicit ids: Redis refuses one that does not grow, so a process that was overtaken cannot write
into the log of its successor. An entry for many events, because a token is some 30 bytes and an
entry costs a command. The log is for reading again; a client that follows
the run in its own process is served from memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ResponseError
from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.redis.failures import redis_errors
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
_RUNNING_TTL = 86_400
"""Seconds a log is kept after its last entry while its run has not ended.

Long, because a run may wait for its turn or think; not for ever, because its process may die.
"""


class Frame(NamedTuple):
    """One event: its number in the run's attempt, from 1 on; its name; its data as JSON."""

    number: int
    name: str
    data: bytes


_Waiting = dict[tuple[str, int], deque[Frame]]
"""By run and attempt."""


class EventLog:
    """The logs of all runs at one Redis. Use `open_event_log`: it runs the writer.

    Args of `open_event_log`:
        prefix: what all keys begin with.
        ttl: seconds a log is kept after the run's end.
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
        self._kept = KeptBytes(max_bytes, max_bytes_of_all, ttl)
        self._announced = announced
        self._spread = isinstance(client, RedisCluster)  # whose pipelines take no PUBLISH
        self._waiting: _Waiting = {}
        self._waiting_bytes = 0
        self._wake_up = asyncio.Event()
        self._writing = asyncio.Lock()

    def append(self, run_id: str, attempt: int, frame: Frame) -> None:
        """Have an event written with the next entry of its run."""
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
        return [
            each
            for entry in entries
            for each in _numbered(*entry)
            if (each[0], each[1].number) > after
        ]

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
        return _numbered(*entries[0])[-1] if entries else None

    async def delete(self, *run_ids: str) -> None:
        """Forget what runs that have ended streamed."""
        await self.written()  # what is on its way would be there again
        for each in run_ids:
            self._kept.forget(each)
        with redis_errors():
            await asyncio.gather(*(self._client.unlink(self._key(each)) for each in run_ids))

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
        try:
            with redis_errors():
                async with self._client.pipeline(transaction=False) as pipeline:
                    for (run_id, attempt), frames in waiting.items():
                        self._queue(pipeline, run_id, attempt, frames)
                        if self._announced and not self._spread:
                            pipeline.publish(self._news(run_id), b"")
                    for reply in await pipeline.execute(raise_on_error=False):
                        if isinstance(reply, ResponseError):
                            log.warning("event_log_refused", error=str(reply))
                if self._announced and self._spread:
                    runs = {run_id for run_id, _ in waiting}
                    await asyncio.gather(
                        *(self._client.publish(self._news(each), b"") for each in runs)
                    )
        except CheckpointsError as error:
            # The run goes on and its listeners have its events; only reading again has a gap.
            log.warning("event_log_not_written", error=str(error), runs=len(waiting))

    def _queue(self, pipeline: Any, run_id: str, attempt: int, frames: Sequence[Frame]) -> None:
        key = self._key(run_id)
        for some in _entries(frames):
            packed = b"".join(b"%s\n%s\n" % (name.encode(), data) for _, name, data in some)
            entry_id = f"{attempt}-{some[-1].number}"
            pipeline.xadd(key, {"first": some[0].number, "frames": packed}, id=entry_id)
            self._kept.add(run_id, entry_id, len(packed))
        for trimmed, oldest in self._kept.trim(run_id):
            pipeline.xtrim(self._key(trimmed), minid=oldest, approximate=False)
        ended = frames[-1].name == END
        pipeline.expire(key, self._ttl if ended else max(self._ttl, _RUNNING_TTL))
        if ended:
            self._kept.end(run_id)

    def _news(self, run_id: str) -> str:
        return f"{self._prefix}:run:{run_id}:news"

    def _key(self, run_id: str) -> str:
        return f"{{{self._prefix}:run:{run_id}}}:events"


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
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
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


def _numbered(entry_id: bytes, fields: Mapping[bytes, bytes]) -> list[tuple[int, Frame]]:
    attempt = int(entry_id.partition(b"-")[0])
    return [(attempt, frame) for frame in _frames(int(fields[b"first"]), fields[b"frames"])]


def _frames(first: int, packed: bytes) -> list[Frame]:
    lines = packed.split(b"\n")
    names, data = lines[0:-1:2], lines[1::2]
    return [
        Frame(number, name.decode(), body)
        for number, name, body in zip(range(first, first + len(names)), names, data, strict=True)
    ]
