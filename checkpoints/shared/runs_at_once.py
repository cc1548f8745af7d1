"""How many runs of each caller are under way, in all processes at one Redis.

    {everturn:runs_of:<who>}   ZSET   run -> until when it counts, by Redis' clock (ms)

A run has a place from its start to its end. Its process renews the place meanwhile; of a process
that has died, places end by themselves.
"""

from collections.abc import Collection
from hashlib import sha256

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.lua import Lua

LEASE_SECONDS = 30.0
"""After which a place ends that is not renewed."""

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# KEYS places   ARGV run, how many there may be, lease (ms)   Reply 1 if the run has one
_ENTER = f"""{_NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local has = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not has and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""

# KEYS places   ARGV run   Reply how many there were, the run's among them
_LEAVE = """
local there = redis.call('ZCARD', KEYS[1])
redis.call('ZREM', KEYS[1], ARGV[1])
return there
"""

# KEYS places   ARGV lease (ms), runs that have a place still
_RENEW = f"""{_NOW}
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', now + ARGV[1], ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""


class RedisRunsAtOnce:
    """The places under one prefix.

    Every method raises StoreUnavailable while Redis does not answer.
    """

    def __init__(
        self, client: Redis | RedisCluster, prefix: str = "everturn", lease: float = LEASE_SECONDS
    ) -> None:
        """Have places end after `lease` seconds, unless they are renewed before."""
        self.lease = lease
        self._lease_ms = round(lease * 1000)
        self._prefix = prefix
        self._enter = Lua(client, _ENTER)
        self._leave = Lua(client, _LEAVE)
        self._renew = Lua(client, _RENEW)

    async def enter(self, who: str, run_id: str, most: int) -> bool:
        """Take a place for a run; False where its caller has `most` of them. Again, it has it."""
        with redis_errors():
            return bool(await self._enter([self._name(who)], [run_id, most, self._lease_ms]))

    async def leave(self, who: str, run_id: str) -> int:
        """Give a run's place back; return how many its caller had with it."""
        with redis_errors():
            return int(await self._leave([self._name(who)], [run_id]))

    async def renew(self, who: str, run_ids: Collection[str]) -> None:
        """Keep the places of runs; what has lost its place stays without."""
        with redis_errors():
            await self._renew([self._name(who)], [self._lease_ms, *run_ids])

    def _name(self, who: str) -> str:
        # Of a fixed length without braces, whatever callers are called.
        return f"{{{self._prefix}:runs_of:{sha256(who.encode()).hexdigest()[:32]}}}"
