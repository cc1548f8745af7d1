"""The threads of the checkpointer, out of one Redis and into another of any version.

Each is read in one atomic step, in Redis' plain terms: members, scores and fields. DUMP would be
shorter, but an older server does not take what a newer one wrote.
"""

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.keyspace import Keyspace
from everturn.checkpoints.redis.lua import Lua

_AT_ONCE = 500
_BYTES_AT_ONCE = 4_194_304

# KEYS index, data   Reply members with their scores, fields with their values, ms to live
_READ = """
return {redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'), redis.call('HGETALL', KEYS[2]),
  redis.call('PTTL', KEYS[2])}
"""


@dataclass(frozen=True, slots=True)
class KeptThread:
    """A thread as its two keys hold it."""

    thread_id: str
    index: dict[bytes, float]
    """Members by name, with their scores."""
    data: dict[bytes, bytes]
    expires_at: int | None
    """Milliseconds since 1970."""


class KeptThreads:
    """The threads under one prefix of one Redis."""

    def __init__(self, client: Redis | RedisCluster, prefix: str) -> None:
        self._client = client
        self._keyspace = Keyspace(prefix)
        self._read = Lua(client, _READ)

    async def read(self) -> AsyncIterator[KeptThread]:
        """Yield all threads, in no order; one that is made or deleted meanwhile may be left out.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        seen = set[str]()  # a scan may find a key twice
        with redis_errors():
            async for index in self._client.scan_iter(match=self._keyspace.pattern, count=1000):
                thread_id = self._keyspace.thread_id(index.decode())
                if thread_id is not None and thread_id not in seen:
                    seen.add(thread_id)
                    if thread := await self._thread(thread_id):
                        yield thread

    async def _thread(self, thread_id: str) -> KeptThread | None:
        members, fields, left = await self._read(list(self._keyspace.thread(thread_id)))
        if not fields:
            return None
        return KeptThread(
            thread_id,
            {name: float(score) for name, score in _pairs(members)},
            dict(_pairs(fields)),
            None if left < 0 else round(time.time() * 1000) + left,
        )

    async def write(self, thread: KeptThread) -> None:
        """Put a thread in the place of one of this id, unless it has expired.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        if thread.expires_at is not None and thread.expires_at <= time.time() * 1000:
            return
        index, data = self._keyspace.thread(thread.thread_id)
        with redis_errors():
            await self._client.unlink(index, data)
            names = list(thread.index.items())
            for first in range(0, len(names), _AT_ONCE):
                await self._client.zadd(index, dict(names[first : first + _AT_ONCE]))
            for some in _pieces(thread.data):
                await self._client.hset(data, mapping=some)  # type: ignore[arg-type]  # bytes are names, too
            if thread.expires_at is not None:
                for key in (index, data):
                    await self._client.pexpireat(key, thread.expires_at)


def _pairs(flat: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _pieces(data: dict[bytes, bytes]) -> Iterator[dict[bytes, bytes]]:
    piece: dict[bytes, bytes] = {}
    size = 0
    for name, value in data.items():
        piece[name] = value
        size += len(value)
        if size > _BYTES_AT_ONCE or len(piece) >= _AT_ONCE:
            yield piece
            piece, size = {}, 0
    if piece:
        yield piece
