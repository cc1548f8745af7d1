"""Chat sessions: who may go on talking, and until when. The talk itself is in the checkpoints.

    {everturn:sessions}:id:<id>   HASH  created (µs), ends (ms), context (JSON); expires then
    {everturn:sessions}:created   ZSET  id by its creation (µs): the order of `list`
    {everturn:sessions}:expires   ZSET  id by its end (ms): what `list` and `create` drop first

What writes is one script, so a session and its place in the lists change together. That puts all
sessions of a cluster on one node, which is meant: a session is a few hundred bytes that are touched
once a turn, while the checkpoints, the load, spread by thread. The clock is Redis', so that all
machines agree on who has expired.
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.redis.failures import CALL_FAILED, translate

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function drop_expired(created, expires, most)
  local gone = redis.call('ZRANGEBYSCORE', expires, '-inf', now, 'LIMIT', 0, most)
  for _, id in ipairs(gone) do
    redis.call('ZREM', created, id)
    redis.call('ZREM', expires, id)
  end
end
"""

# KEYS session, created, expires   ARGV id, ttl (ms), context   Reply {created, ends}
_CREATE = f"""{_NOW}
local created, ends = time[1] * 1000000 + time[2], now + ARGV[2]
redis.call('HSET', KEYS[1],
  'created', string.format('%.0f', created), 'ends', ends, 'context', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], string.format('%.0f', created), ARGV[1])
redis.call('ZADD', KEYS[3], ends, ARGV[1])
drop_expired(KEYS[2], KEYS[3], 100) -- the lists stay short even if nobody ever lists
return {{ created, ends }}
"""

# KEYS session, created, expires   ARGV id, ttl (ms)   Reply {created, ends, context}, or nils
_TOUCH = f"""{_NOW}
local created = redis.call('HGET', KEYS[1], 'created')
if created then
  local ends = now + ARGV[2]
  redis.call('HSET', KEYS[1], 'ends', ends)
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('ZADD', KEYS[2], created, ARGV[1])
  redis.call('ZADD', KEYS[3], ends, ARGV[1])
end
return redis.call('HMGET', KEYS[1], 'created', 'ends', 'context')
"""

# KEYS session, created, expires   ARGV id   Reply 1 if there was one, else 0
_DELETE = """
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return redis.call('DEL', KEYS[1])
"""

# KEYS created, expires   ARGV offset, limit   Reply {how many, {id, …}}
_LIST = f"""{_NOW}
drop_expired(KEYS[1], KEYS[2], 2 ^ 31)
local page = redis.call(
  'ZREVRANGEBYSCORE', KEYS[1], '+inf', '-inf', 'LIMIT', ARGV[1], ARGV[2])
return {{ redis.call('ZCARD', KEYS[1]), page }}
"""

_FIELDS = ("created", "ends", "context")


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn what the client raises into StoreUnavailable or StoreMisconfigured."""
    try:
        yield
    except CALL_FAILED as error:
        raise translate(error, served=True) from error


@dataclass(frozen=True, slots=True)
class Session:
    """A chat session; both moments are aware and in UTC."""

    id: str
    created_at: datetime
    expires_at: datetime
    context: dict[str, Any]
    """What the creator wanted to be remembered with it: any JSON object."""


class Sessions:
    """The sessions under one prefix; each lives `ttl` seconds from its last touch.

    Every method raises StoreUnavailable while Redis does not answer, StoreMisconfigured when it
    answers but cannot serve.
    """

    def __init__(self, client: Redis | RedisCluster, ttl: int, prefix: str = "everturn") -> None:
        self._client = client
        self._ttl = ttl * 1000
        self._name = f"{{{prefix}:sessions}}"
        self._lists = [f"{self._name}:created", f"{self._name}:expires"]
        self._create = client.register_script(_CREATE)
        self._touch = client.register_script(_TOUCH)
        self._delete = client.register_script(_DELETE)
        self._list = client.register_script(_LIST)

    async def create(self, context: dict[str, Any]) -> Session:
        """Begin a session under a new random id."""
        session_id = str(uuid.uuid4())
        keys = [self._key(session_id), *self._lists]
        with redis_errors():
            created, ends = await self._create(keys, (session_id, self._ttl, json.dumps(context)))
        return Session(session_id, _moment(created), _moment(ends * 1000), context)

    async def get(self, session_id: str) -> Session | None:
        """Look a session up without renewing it; `None` if it has ended or never was."""
        with redis_errors():
            found = await self._client.hmget(self._key(session_id), *_FIELDS)
        return _session(session_id, found)

    async def touch(self, session_id: str) -> Session | None:
        """Look a session up and let it live for another `ttl`."""
        keys = [self._key(session_id), *self._lists]
        with redis_errors():
            found = await self._touch(keys, [session_id, self._ttl])
        return _session(session_id, found)

    async def delete(self, session_id: str) -> bool:
        """End a session now; `False` if there was none."""
        keys = [self._key(session_id), *self._lists]
        with redis_errors():
            return bool(await self._delete(keys, [session_id]))

    async def list(self, limit: int, offset: int = 0) -> tuple[list[Session], int]:
        """Read one page of the living sessions, newest first, and count all of them.

        Two round trips: scripts should touch only keys that they are given.
        """
        with redis_errors():
            total, ids = await self._list(self._lists, [offset, limit])
            pipeline = self._client.pipeline(transaction=False)
            for each in ids:
                pipeline.hmget(self._key(each.decode()), *_FIELDS)
            found = await pipeline.execute() if ids else []
        page = (_session(each.decode(), record) for each, record in zip(ids, found, strict=True))
        return [session for session in page if session], total  # None ended between the two trips

    def _key(self, session_id: str) -> str:
        return f"{self._name}:id:{session_id}"


def _session(session_id: str, found: Any) -> Session | None:
    created, ends, context = found
    if created is None:
        return None
    moments = _moment(int(created)), _moment(int(ends) * 1000)
    return Session(session_id, *moments, json.loads(context))


def _moment(microseconds: int) -> datetime:
    """Exact, unlike `fromtimestamp` of a float."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
