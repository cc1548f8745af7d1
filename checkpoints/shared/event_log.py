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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ResponseError
from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.redis.failures import redis_errors

log = get_logger(__name__)

END = "__end__"
"""The name of the event that says no more will come; clients do not see it."""

_MAX_DELAY = 0.02
"""Seconds an event waits for others before its entry is written."""
_MAX_ENTRY_BYTES = 262_144
_RUNNING_TTL = 86_400
"""Seconds a log is kept after its last entry while its run has not ended.

Long, because a run may wait for its turn or think; not for ever, because its process may die.
"""


class Frame(NamedTuple):
    """One event: its number in the run's attempt, from 1 on; its name; its data as JSON."""

    number: int
    name: str
    data: bytes


class EventLog:
    """The logs of all runs at one Redis. Use `open_event_log`: it runs the writer.

    Args of `open_event_log`:
        prefix: what all keys begin with.
        ttl: seconds a log is kept after the run's end.
        max_bytes: of one run; the oldest events go first.
        announced: publish each entry to other processes; see `Peers.news`.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        prefix: str,
        ttl: int,
        max_bytes: int,
        *,
        announced: bool = False,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._ttl = ttl
        self._max_bytes = max_bytes
        self._announced = announced
        self._spread = isinstance(client, RedisCluster)  # whose pipelines take no PUBLISH
        self._waiting: dict[tuple[str, int], list[Frame]] = {}
        self._sizes: dict[str, deque[tuple[str, int]]] = {}
        self._wake_up = asyncio.Event()
        self._writing = asyncio.Lock()

    def append(self, run_id: str, attempt: int, frame: Frame) -> None:
        """Have an event written with the next entry of its run."""
        self._waiting.setdefault((run_id, attempt), []).append(frame)
        self._wake_up.set()

    async def read(self, run_id: str, after: tuple[int, int]) -> list[tuple[int, Frame]]:
        """Read the events after (attempt, number), each with its attempt; END among them."""
        with redis_errors():
            # redis-py's types allow for clients that decode; ours does not.
            entries: Any = await self._client.xrange(
                self._key(run_id), min=f"({after[0]}-{after[1]}"
            )
        return [
            (attempt, frame)
            for entry_id, fields in entries
            for attempt in [int(entry_id.partition(b"-")[0])]
            for frame in _frames(int(fields[b"first"]), fields[b"frames"])
            if (attempt, frame.number) > after
        ]

    async def last_attempt(self, run_id: str) -> int:
        """The number of the attempt that wrote last; 0 where none did."""
        with redis_errors():
            entries: Any = await self._client.xrevrange(self._key(run_id), count=1)
        return int(entries[0][0].partition(b"-")[0]) if entries else 0

    async def delete(self, *run_ids: str) -> None:
        """Forget what runs that have ended streamed."""
        await self.written()  # what is on its way would be there again
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
        """Write what waits now, of all runs in one trip, after what is being written."""
        async with self._writing:
            await self._flush()

    async def _flush(self) -> None:
        self._wake_up.clear()
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
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
            sizes = self._sizes.setdefault(run_id, deque())
            sizes.append((entry_id, len(packed)))
        self._trim(pipeline, key, run_id)
        ended = frames[-1].name == END
        pipeline.expire(key, self._ttl if ended else max(self._ttl, _RUNNING_TTL))
        if ended:
            self._sizes.pop(run_id, None)

    def _trim(self, pipeline: Any, key: str, run_id: str) -> None:
        # By our own count of bytes: Redis trims a stream by its number of entries or by an id.
        sizes = self._sizes[run_id]
        total = sum(size for _, size in sizes) if len(sizes) > 1 else 0
        trimmed = False
        while total > self._max_bytes and len(sizes) > 1:
            total -= sizes.popleft()[1]
            trimmed = True
        if trimmed:
            pipeline.xtrim(key, minid=sizes[0][0], approximate=False)

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
    announced: bool = False,
) -> AsyncIterator[EventLog]:
    """Run the writer; at the end, write what still waits."""
    events = EventLog(client, prefix, ttl, max_bytes, announced=announced)
    writer = asyncio.create_task(events.write(), name="event log")
    try:
        yield events
    finally:
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
        await events.flush()


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


def _frames(first: int, packed: bytes) -> list[Frame]:
    lines = packed.split(b"\n")
    names, data = lines[0:-1:2], lines[1::2]
    return [
        Frame(number, name.decode(), body)
        for number, name, body in zip(range(first, first + len(names)), names, data, strict=True)
    ]
