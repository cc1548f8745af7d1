"""How often each caller came of late, counted for all processes at one Redis.

    {everturn:limit:<who>}:<times>/<seconds>   ZSET   one entry for each time, by Redis' clock (µs)

The window moves: an entry counts until `seconds` after it came. All limits of a call are looked at
and counted in one script, so of any number of calls at once, to any number of processes, exactly
those pass that may. What is refused is not counted.

The library `limits` keeps moving windows in Redis as well, but by the clock of each machine, one
limit a call, and what is left takes another call.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.lua import Lua

# KEYS one a limit   ARGV how often the caller comes now, then of each limit: times, µs
# Reply {1 if counted, of each limit: {what is left, µs until the oldest entry leaves,
#        µs until there is room for the caller; -1 where there never is}}
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local more = tonumber(ARGV[1])
local counts, passes = {}, 1
for i, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - ARGV[2 * i + 1]))
  counts[i] = redis.call('ZCARD', key)
  if counts[i] + more > tonumber(ARGV[2 * i]) then
    passes = 0
  end
end
local function left_after(key, window, rank)
  local entry = redis.call('ZRANGE', key, rank, rank, 'WITHSCORES')
  return entry[2] and math.max(1, entry[2] + window - now) or 0
end
local reply = { passes }
for i, key in ipairs(KEYS) do
  local times, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  if passes == 1 then
    for n = 1, more do
      redis.call('ZADD', key, string.format('%.0f', now),
        string.format('%.0f-%d', now, counts[i] + n))
    end
    redis.call('PEXPIRE', key, math.ceil(window / 1000))
    counts[i] = counts[i] + more
  end
  local missing = counts[i] + more - times
  local wait = 0
  if more > times then
    wait = -1
  elseif missing > 0 then
    wait = left_after(key, window, missing - 1)
  end
  reply[i + 1] = { math.max(0, times - counts[i]), left_after(key, window, 0), wait }
end
return reply
"""


class Left(NamedTuple):
    """What a caller has left of a limit."""

    times: int
    """More calls that pass now."""
    resets: float
    """Seconds until it is one more, at least."""
    room: float | None
    """Seconds until the same call passes; 0: now; None: never, as it asks for too much at once."""


class Taken(NamedTuple):
    """What became of a call."""

    passes: bool
    left: Sequence[Left]
    """Of each limit that was asked for, in that order."""


class RedisLimits:
    """The limits under one prefix, at any Redis that serves as the checkpointer's."""

    def __init__(self, client: Redis | RedisCluster, prefix: str = "everturn") -> None:
        self._prefix = prefix
        self._take = Lua(client, _TAKE)

    async def take(self, who: str, limits: Sequence[tuple[int, int]], times: int = 1) -> Taken:
        """Count a call, if it passes.

        Args:
            who: whose limits these are: any text, the same for the same caller.
            limits: how often a caller may come, and in how many seconds; all must let the call.
            times: as how many calls it counts.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        # A name of a fixed length without braces, whatever callers are called.
        name = f"{{{self._prefix}:limit:{sha256(who.encode()).hexdigest()[:32]}}}"
        keys = [f"{name}:{most}/{seconds}" for most, seconds in limits]
        windows = [part for most, seconds in limits for part in (most, seconds * 1_000_000)]
        with redis_errors():
            passes, *found = await self._take(keys, [times, *windows])
        left = [
            Left(more, resets / 1e6, None if room < 0 else room / 1e6)
            for more, resets, room in found
        ]
        return Taken(bool(passes), left)
