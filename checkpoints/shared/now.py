"""What each process has counted lately: written only while one of them shows it and asks.

    {everturn:now}:<process>   HASH    `about` and steps by their number, JSON; expires
    {everturn:now}:turns       STREAM  the last turns of all processes, JSON; expires
    {everturn:now}:day:<date>  HASH    tokens and cost (1e-9 dollars) of a day in UTC; expires
    {everturn:processes}       ZSET    process by its last heartbeat, which `peers` writes

What is in a process' hash is a copy: the process itself knows it without Redis.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.lua import Lua

_KEPT_SECONDS = 960
"""A little longer than what is counted reaches back."""
_DAY_SECONDS = 172_800
_MAX_TURNS = 200

# KEYS processes   Reply {now (ms), {process, its last heartbeat (ms), …}}
_HEARTBEATS = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return { string.format('%.0f', now), redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES') }
"""

# KEYS day   ARGV tokens, cost, seconds that it is kept   Reply both as they are then
_COUNT = """
local tokens, cost = ARGV[1], ARGV[2]
if tokens == '0' and cost == '0' then return redis.call('HMGET', KEYS[1], 'tokens', 'cost') end
local reply = {
  redis.call('HINCRBY', KEYS[1], 'tokens', tokens), redis.call('HINCRBY', KEYS[1], 'cost', cost)
}
redis.call('EXPIRE', KEYS[1], ARGV[3])
return reply
"""


class Copy(NamedTuple):
    """What a process has published; JSON."""

    about: bytes
    steps: Mapping[int, bytes]


class NowCopies:
    """The copies under one prefix. Every method raises StoreUnavailable while Redis is away."""

    def __init__(self, client: Redis | RedisCluster, prefix: str = "everturn") -> None:
        self._client = client
        self._name = f"{{{prefix}:now}}"
        self._processes = f"{{{prefix}:processes}}"
        self._heartbeats = Lua(client, _HEARTBEATS)
        self._count = Lua(client, _COUNT)

    async def publish(
        self, process: str, copy: Copy, gone: Sequence[int], turns: Sequence[bytes]
    ) -> None:
        """Write what has changed of a process, and its new turns.

        Args:
            process: its name.
            copy: what it is, and the steps that have changed.
            gone: the numbers of steps that count no longer.
            turns: that have ended since it last wrote, oldest first.
        """
        name, stream = f"{self._name}:{process}", f"{self._name}:turns"
        fields: dict[Any, Any] = {"about": copy.about, **copy.steps}
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.hset(name, mapping=fields)
                if gone:
                    pipeline.hdel(name, *map(str, gone))
                pipeline.expire(name, _KEPT_SECONDS)
                for turn in turns:
                    pipeline.xadd(stream, {"turn": turn}, maxlen=_MAX_TURNS, approximate=False)
                if turns:
                    pipeline.expire(stream, _KEPT_SECONDS)
                await pipeline.execute()

    async def read(self, since: Mapping[str, int | None], newest: int) -> Mapping[str, Copy]:
        """Return the copies of processes, of those that have any.

        Args:
            since: of each, the number of the first step that is wanted; None wants all.
            newest: the number of the last one.
        """
        if not since:
            return {}
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                for process, first in since.items():
                    name = f"{self._name}:{process}"
                    if first is None:
                        pipeline.hgetall(name)
                    else:
                        pipeline.hmget(name, ["about", *map(str, range(first, newest + 1))])
                replies: list[Any] = await pipeline.execute()
        found = {}
        for (process, first), reply in zip(since.items(), replies, strict=True):
            said = reply
            if first is not None:
                numbers = (str(each).encode() for each in range(first, newest + 1))
                said = dict(zip((b"about", *numbers), reply, strict=True))
            if about := said.pop(b"about", None):
                found[process] = Copy(about, {int(k): v for k, v in said.items() if v})
        return found

    async def turns(self, after: str) -> tuple[str, list[bytes]]:
        """Return the turns after a place, oldest first, and the place of the last; "-": all."""
        first = after if after == "-" else f"({after}"
        with redis_errors():
            entries: Any = await self._client.xrange(f"{self._name}:turns", first)
        last = entries[-1][0].decode() if entries else after
        return last, [fields[b"turn"] for _, fields in entries]

    async def heartbeats(self) -> Mapping[str, float]:
        """Return how many seconds ago each process had its last heartbeat."""
        with redis_errors():
            now, found = await self._heartbeats([self._processes])
        pairs = zip(found[::2], found[1::2], strict=True)
        return {name.decode(): max(0.0, (int(now) - float(at)) / 1000) for name, at in pairs}

    async def count(self, day: str, tokens: int, cost: int) -> tuple[int, int]:
        """Add to what all have taken on a day; return what that is then."""
        with redis_errors():
            reply = await self._count([f"{self._name}:day:{day}"], [tokens, cost, _DAY_SECONDS])
        return int(reply[0] or 0), int(reply[1] or 0)
