"""Results of tools that several processes share; one of them makes a result, the others wait.

    {everturn:tool_cache:<key>}:result          STRING  the result, for its time
    {everturn:tool_cache:<key>}:lease           STRING  the token of who makes it, for its lease
    {everturn:tool_cache:<key>}:flight:<token>  STREAM  one entry: the result, or that there is none

The process that makes a result writes it to the stream on which all others have blocked; see
`flights`. A hit is one round trip.
"""

import asyncio
from secrets import token_hex

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.lua import Lua
from everturn.checkpoints.shared.flights import FLIGHT_MS, Flights

_TIMEOUT = 0.5
"""Seconds: a cache that is slower is no help, and the caller can do without."""

# KEYS result, lease   ARGV token, lease (ms)
# Reply {result}, {false} if the caller holds the lease now, or {false, token of the holder, ms}
_FIND = """
local result = redis.call('GET', KEYS[1])
if result then
  return { result }
end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then  -- the caller's: its call is made again, the reply was lost
  return { false, holder, redis.call('PTTL', KEYS[2]) }
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return { false }
"""

# KEYS result, lease, flight   ARGV token, ms that it can be read, [result, ttl (ms)]
_LAND = """
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
if ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
  redis.call('XADD', KEYS[3], '*', 'result', ARGV[3])
else
  redis.call('XADD', KEYS[3], '*', 'none', '')
end
redis.call('PEXPIRE', KEYS[3], ARGV[2])
"""


class RedisResultStore:
    """The results under one prefix; see `tools.kit.cache.ResultStore` for its methods.

    Every method raises TimeoutError or StoreUnavailable while Redis does not answer.
    """

    def __init__(self, client: Redis | RedisCluster, prefix: str = "everturn") -> None:
        self._client = client
        self._prefix = prefix
        self._find = Lua(client, _FIND)
        self._land = Lua(client, _LAND)
        self._leases: dict[str, str] = {}
        self._flights = Flights(client)

    async def find(self, key: str, lease: float) -> str | None:
        """Return a result; with `None` the caller is to make it, within `lease` seconds."""
        name, token = self._name(key), token_hex(8)
        while True:
            with redis_errors():
                async with asyncio.timeout(_TIMEOUT):
                    found = await self._find(
                        [f"{name}:result", f"{name}:lease"], [token, round(lease * 1000)]
                    )
            match found:
                case [None, holder, milliseconds]:
                    if self._flights.full:
                        return None
                    flight = f"{name}:flight:{holder.decode()}"
                    landed = await self._flights.wait(flight, max(1, milliseconds) / 1000, _TIMEOUT)
                    if landed is not None:
                        return landed.get(b"result", b"").decode() or None
                case [None]:
                    self._leases[key] = token
                    return None
                case [result]:
                    return str(result.decode())

    async def keep(self, key: str, result: str, ttl: float) -> None:
        """Keep a result for `ttl` seconds, and hand it to those who wait."""
        await self._end(key, [result, max(1, round(ttl * 1000))])

    async def give_up(self, key: str) -> None:
        """Let those who wait know that there will be no result."""
        await self._end(key, [])

    async def _end(self, key: str, result: list[str | int]) -> None:
        name, token = self._name(key), self._leases.pop(key, "none")
        keys = [f"{name}:result", f"{name}:lease", f"{name}:flight:{token}"]
        with redis_errors():
            async with asyncio.timeout(_TIMEOUT):
                await self._land(keys, [token, FLIGHT_MS, *result])

    def _name(self, key: str) -> str:
        return f"{{{self._prefix}:tool_cache:{key}}}"
