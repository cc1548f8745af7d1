"""Open circuits that several processes share: providers and models not to be called for a while.

    {everturn:breaker:<account>}:open             HASH    subject -> "<until (ms)>:<sure, 0 or 1>"
    {everturn:breaker:<account>}:probe:<subject>  STRING  expires: one caller tries if it is back

The clock is Redis', so that all machines agree. A circuit whose time is over stays until one caller
has tried it (`claim`); the others keep away until then. A sure one is dropped when its time is
over. All are dropped an hour after the last one's time.
"""

from collections.abc import Mapping

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.lua import Lua

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# KEYS open   ARGV subject, ms, sure, ms that the hash is kept beyond it
_OPEN = f"""{_NOW}
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%s', now + ARGV[2], ARGV[3]))
local kept = redis.call('PTTL', KEYS[1])
redis.call('PEXPIRE', KEYS[1], math.max(kept, ARGV[2] + ARGV[4]))
"""

# KEYS open   Reply {now (ms), {subject, value, …}}; sure ones whose time is over are dropped
_READ = f"""{_NOW}
local found = redis.call('HGETALL', KEYS[1])
local open = {{}}
for i = 1, #found, 2 do
  local untl, sure = string.match(found[i + 1], '^(%d+):(%d)$')
  if sure == '1' and tonumber(untl) <= now then
    redis.call('HDEL', KEYS[1], found[i])
  else
    open[#open + 1] = found[i]
    open[#open + 1] = found[i + 1]
  end
end
return {{ string.format('%.0f', now), open }}
"""

_KEEP_MS = 3_600_000


class RedisCircuits:
    """The circuits of one provider account under one prefix.

    Every method raises StoreUnavailable while Redis does not answer, StoreMisconfigured when it
    answers but cannot serve.
    """

    def __init__(
        self, client: Redis | RedisCluster, account: str, prefix: str = "everturn"
    ) -> None:
        """Keep the circuits of `account`, any short name of a provider and key."""
        self._client = client
        self._name = f"{{{prefix}:breaker:{account}}}"
        self._open = Lua(client, _OPEN)
        self._read = Lua(client, _READ)

    async def read(self) -> Mapping[str, tuple[float, bool]]:
        """Return each circuit's seconds until it may be asked (0: now), and whether it is sure."""
        with redis_errors():
            now, found = await self._read([f"{self._name}:open"])
        circuits = {}
        for subject, value in zip(found[::2], found[1::2], strict=True):
            until, _, sure = value.decode().partition(":")
            circuits[subject.decode()] = max(0.0, (int(until) - int(now)) / 1000), sure == "1"
        return circuits

    async def open(self, subject: str, seconds: float, *, sure: bool) -> None:
        """Open a circuit for all, or open it anew."""
        with redis_errors():
            await self._open(
                [f"{self._name}:open"], [subject, int(seconds * 1000), int(sure), _KEEP_MS]
            )
            await self._client.delete(self._probe(subject))

    async def close(self, subject: str) -> None:
        """Close a circuit for all."""
        with redis_errors():
            await self._client.hdel(f"{self._name}:open", subject)
            await self._client.delete(self._probe(subject))

    async def claim(self, subject: str, seconds: float) -> bool:
        """Say whether the caller is the only one to try, for so many seconds."""
        with redis_errors():
            won = await self._client.set(
                self._probe(subject), "1", nx=True, px=max(1, int(seconds * 1000))
            )
        return bool(won)

    def _probe(self, subject: str) -> str:
        return f"{self._name}:probe:{subject}"
