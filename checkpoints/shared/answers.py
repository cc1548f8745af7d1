"""Answers of models that several processes share, of so many bytes at most.

    {everturn:response_cache}:answers         HASH    the answers by their keys, and their `bytes`
    {everturn:response_cache}:ends            ZSET    by key: the moment, in ms, at which one ends
    {everturn:response_cache}:lease:<key>     STRING  the token of who asks a model, for its lease
    {everturn:response_cache}:flight:<token>  STREAM  one entry: the answer, or that there is none

Summaries of long conversations are kept likewise, as `summaries`: answers never take their room.

All are in one slot of a cluster, so that their bytes are counted where they change. Those that end
first make room for new ones. With a key (LANGGRAPH_AES_KEY) answers are encrypted. See `flights`
for how other processes wait.
"""

import asyncio
from secrets import token_hex
from typing import Any

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.confidential import Safe
from everturn.checkpoints.errors import StoreMisconfigured
from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.lua import Lua
from everturn.checkpoints.shared.flights import FLIGHT_MS, Flights

_TIMEOUT = 0.5
"""Seconds: a cache that is slower is no help, and the caller can do without."""

_PAGE = 500

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# KEYS answers, ends, lease   ARGV key, token, lease (ms)
# Reply {bytes, answer}, {bytes, false} if the caller holds the lease now, or
# {bytes, false, token of the holder, ms}
_FIND = (
    _NOW
    + """
local bytes = redis.call('HGET', KEYS[1], 'bytes') or '0'
local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
if ends and tonumber(ends) > now then
  local answer = redis.call('HGET', KEYS[1], ARGV[1])
  if answer then
    return { bytes, answer }
  end
end
local holder = redis.call('GET', KEYS[3])
if holder and holder ~= ARGV[2] then  -- the caller's: its call is made again, the reply was lost
  return { bytes, false, holder, redis.call('PTTL', KEYS[3]) }
end
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
return { bytes, false }
"""
)

# KEYS answers, ends   ARGV key
_PEEK = (
    _NOW
    + """
local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
return ends and tonumber(ends) > now and redis.call('HGET', KEYS[1], ARGV[1])
"""
)

_DROP = """
local function drop(key)
  local size = redis.call('HSTRLEN', KEYS[1], key)
  if redis.call('HDEL', KEYS[1], key) == 1 then
    redis.call('HINCRBY', KEYS[1], 'bytes', -(size + #key))
  end
  return redis.call('ZREM', KEYS[2], key)
end
"""

# KEYS answers, ends, lease, flight   ARGV key, token, ms of the flight, [answer, ttl (ms), bytes]
_LAND = (
    _NOW
    + _DROP
    + """
if redis.call('GET', KEYS[3]) == ARGV[2] then
  redis.call('DEL', KEYS[3])
end
if not ARGV[4] then
  redis.call('XADD', KEYS[4], '*', 'none', '')
  redis.call('PEXPIRE', KEYS[4], ARGV[3])
  return redis.call('HGET', KEYS[1], 'bytes') or '0'
end
redis.call('XADD', KEYS[4], '*', 'answer', ARGV[4])
redis.call('PEXPIRE', KEYS[4], ARGV[3])
drop(ARGV[1])
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)) do
  drop(key)
end
local most, size = tonumber(ARGV[6]), #ARGV[4] + #ARGV[1]
if size <= most then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
  redis.call('HINCRBY', KEYS[1], 'bytes', size)
  redis.call('ZADD', KEYS[2], now + ARGV[5], ARGV[1])
end
while tonumber(redis.call('HGET', KEYS[1], 'bytes') or '0') > most do
  local first = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not first then  -- evicted by the server: what is left can be found no more
    redis.call('DEL', KEYS[1])
    break
  end
  drop(first)
end
for _, name in ipairs({ KEYS[1], KEYS[2] }) do
  if redis.call('PTTL', name) < tonumber(ARGV[5]) then
    redis.call('PEXPIRE', name, ARGV[5])
  end
end
return redis.call('HGET', KEYS[1], 'bytes') or '0'
"""
)

# KEYS answers, ends   ARGV keys
_FORGET = (
    _DROP
    + """
local dropped = 0
for _, key in ipairs(ARGV) do
  dropped = dropped + drop(key)
end
return { redis.call('HGET', KEYS[1], 'bytes') or '0', dropped }
"""
)


class RedisAnswerStore:
    """The answers under one prefix; see `graph.cache.response_cache.AnswerStore`.

    Every method raises TimeoutError or StoreUnavailable while Redis does not answer.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        max_bytes: int,
        safe: Safe | None = None,
        prefix: str = "everturn",
        name: str = "response_cache",
    ) -> None:
        """Keep answers of so many bytes at most, in `safe`; `name` tells several stores apart."""
        self._client = client
        self._max_bytes = max_bytes
        self._safe = safe or Safe()
        self._name = f"{{{prefix}:{name}}}"
        self._answers, self._ends = f"{self._name}:answers", f"{self._name}:ends"
        self._find = Lua(client, _FIND)
        self._peek = Lua(client, _PEEK)
        self._land = Lua(client, _LAND)
        self._forget = Lua(client, _FORGET)
        self._leases: dict[str, str] = {}
        self._flights = Flights(client)
        self.bytes = 0
        """Of all answers, as they were when it last looked."""

    async def find(self, key: str, lease: float) -> str | None:
        """Return an answer; with `None` the caller is to make it, within `lease` seconds."""
        token = token_hex(8)
        names = [self._answers, self._ends, self._lease(key)]
        while True:
            with redis_errors():
                async with asyncio.timeout(_TIMEOUT):
                    found = await self._find(names, [key, token, round(lease * 1000)])
            self.bytes = int(found[0])
            match found[1:]:
                case [None, holder, milliseconds]:
                    if self._flights.full:
                        return None
                    flight, wait = self._flight(holder.decode()), max(1, milliseconds) / 1000
                    landed = await self._flights.wait(flight, wait, _TIMEOUT)
                    if landed is not None:
                        return self._opened(landed.get(b"answer"))
                case [None]:
                    self._leases[key] = token
                    return None
                case [answer]:
                    return self._opened(answer)

    async def peek(self, key: str) -> str | None:
        """Return an answer that is there, and wait for no other process."""
        with redis_errors():
            async with asyncio.timeout(_TIMEOUT):
                return self._opened(await self._peek([self._answers, self._ends], [key]))

    async def keep(self, key: str, result: str, ttl: float) -> None:
        """Keep an answer, an object in JSON, for `ttl` seconds; hand it to those who wait."""
        sealed = self._safe.encrypt(result.encode(errors="replace"))
        await self._end(key, [sealed, max(1, round(ttl * 1000)), self._max_bytes])

    async def give_up(self, key: str) -> None:
        """Let those who wait know that there will be no answer."""
        await self._end(key, [])

    async def forget(self, beginning: str) -> int:
        """Drop all answers whose keys begin so; return how many there were."""
        dropped, cursor = 0, None
        while cursor != 0:
            with redis_errors():
                cursor, found = await self._client.zscan(
                    self._ends, cursor or 0, match=f"{beginning}*", count=_PAGE
                )
                if keys := [key for key, _ in found]:
                    left: Any = await self._forget([self._answers, self._ends], keys)
                    self.bytes, dropped = int(left[0]), dropped + left[1]
        return dropped

    async def _end(self, key: str, answer: list[bytes | int]) -> None:
        token = self._leases.pop(key, "none")
        names = [self._answers, self._ends, self._lease(key), self._flight(token)]
        with redis_errors():
            async with asyncio.timeout(_TIMEOUT):
                self.bytes = int(await self._land(names, [key, token, FLIGHT_MS, *answer]))

    def _opened(self, sealed: bytes | None) -> str | None:
        """Return an answer; `None` for one that was encrypted with another key."""
        try:
            return self._safe.decrypt(sealed).decode() if sealed else None
        except StoreMisconfigured:
            return None

    def _lease(self, key: str) -> str:
        return f"{self._name}:lease:{key}"

    def _flight(self, token: str) -> str:
        return f"{self._name}:flight:{token}"
