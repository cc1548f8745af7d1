"""One turn a thread at a time: others wait, in order, and are woken.

`LocalThreadLocks` serves one process, `RedisThreadLocks` any number of machines. The latter keeps
three keys a thread, for a lease after their last use (the fence for a day):

    {everturn:lock:<thread>}:held    the token of the holder, or of the one it was handed to
    {everturn:lock:<thread>}:fence   the newest token given
    {everturn:lock:<thread>}:baton   a list that waiters pop: the token that was handed on

A release does not free the thread: it makes the next token, holds the thread for it and pushes it
on the list. Redis gives it to the client that has blocked longest, and no later one can step in
between. If none waits, the token stays on the list for the next to come.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import quote
from weakref import WeakValueDictionary

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.away import patiently
from everturn.checkpoints.errors import CheckpointsError, StaleWriter, ThreadBusy
from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.lua import Lua

T = TypeVar("T")

_MAX_POPS = 16
"""A waiter's pop keeps a connection: more of them could leave none to the holders."""

_SOCKET_TIMEOUT = 5.0
"""Seconds; redis-py's own default, which a pool does not repeat among its options."""

_GRANT = """
local held, fence, baton = KEYS[1], KEYS[2], KEYS[3]
-- Greater than any token before, also if the fence was lost or the clock went back.
local function grant(lease)
  local time = redis.call('TIME')
  local least = tonumber(redis.call('GET', fence) or 0) + 1
  local token = string.format('%.0f', math.max(least, time[1] * 1000000 + time[2]))
  redis.call('SET', fence, token, 'EX', 86400)
  redis.call('SET', held, token, 'PX', lease)
  return token
end
"""

# KEYS held, fence, baton   ARGV lease (ms)   Reply {token} or {false, ms until the lease ends}
_TAKE = f"""{_GRANT}
local handed, holder = redis.call('LPOP', baton), redis.call('GET', held)
if not holder then
  return {{ grant(ARGV[1]) }}
elseif holder == handed then
  redis.call('PEXPIRE', held, ARGV[1])
  return {{ holder }}
end
return {{ false, redis.call('PTTL', held) }}
"""

# KEYS held, fence, baton   ARGV token, lease (ms)   Reply 1 if the thread is still the token's
_RENEW = """
local holder = redis.call('GET', KEYS[1])
-- A lease that ended unseen is no loss as long as no other has come since.
if holder == ARGV[1] or not holder and redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
"""

# KEYS held, fence, baton   ARGV token, lease (ms)
_HAND_ON = f"""{_GRANT}
if redis.call('GET', held) == ARGV[1] then
  redis.call('DEL', baton)
  redis.call('RPUSH', baton, grant(ARGV[2]))
  redis.call('PEXPIRE', baton, ARGV[2])
end
"""


class ThreadLocks(Protocol):
    """What a turn holds while it runs."""

    def hold(self, thread_id: str, *, wait: float) -> AbstractAsyncContextManager[int | None]:
        """Hold a thread; waits at most `wait` seconds for it.

        Yields the fencing token, which grows with every holder of the thread; `None` where no
        other process can take over.

        Raises:
            ThreadBusy: others held the thread all the time.
            StaleWriter: the thread was lost to another holder; the body was cancelled.
            StoreUnavailable: Redis does not answer.
        """
        ...


class LocalThreadLocks:
    """The locks of one process, first come, first served."""

    def __init__(self) -> None:
        # Holder and waiters keep a lock alive, and when they are gone so is its entry.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, thread_id: str, *, wait: float) -> AsyncIterator[None]:
        """Hold a thread within this process; see `ThreadLocks`."""
        lock = self._locks.setdefault(thread_id, asyncio.Lock())
        try:
            async with asyncio.timeout(wait):
                await lock.acquire()
        except TimeoutError:
            raise ThreadBusy(_busy(thread_id, wait)) from None
        try:
            yield
        finally:
            lock.release()


class _Keys(NamedTuple):
    held: str
    fence: str
    baton: str


class RedisThreadLocks:
    """The locks of all processes at one Redis.

    Within a process waiters are served in order, and only the first one asks Redis. Among
    processes the one served is the one whose pop has blocked longest; a pop ends with the lease
    that it waits for, at the latest.

    A holder renews its lease of `lease` seconds in the background; if its process dies, the thread
    is free when the lease ends. A holder that cannot reach Redis goes on: what it writes meanwhile
    is refused if another took over, and a model's answer should survive Redis' restart. It is
    cancelled, and `hold` raises StaleWriter, as soon as it learns that another did take over.
    """

    def __init__(
        self, client: Redis | RedisCluster, lease: float = 3.0, prefix: str = "everturn"
    ) -> None:
        self._client = client
        self._lease = lease
        self._lease_ms = round(lease * 1000)
        self._prefix = prefix
        self._local = LocalThreadLocks()
        self._pops = asyncio.Semaphore(_MAX_POPS)
        # A pop must end before the socket's patience does, or what it pops is lost.
        socket_timeout = client.get_connection_kwargs().get("socket_timeout", _SOCKET_TIMEOUT)
        self._max_pop = min(lease, socket_timeout / 2 if socket_timeout else lease)
        self._take = Lua(client, _TAKE)
        self._renew = Lua(client, _RENEW)
        self._hand_on = Lua(client, _HAND_ON)
        self._tasks: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def hold(self, thread_id: str, *, wait: float) -> AsyncIterator[int]:
        """Hold a thread among all processes; see `ThreadLocks`."""
        deadline = asyncio.get_running_loop().time() + wait
        # First among the tasks of this process, so that only one of them keeps a connection.
        async with self._local.hold(thread_id, wait=wait):
            keys = self._keys(thread_id)
            token = await self._acquire(keys, deadline)
            if token is None:
                raise ThreadBusy(_busy(thread_id, wait))
            lost = asyncio.timeout(None)
            try:
                async with lost:
                    heartbeat = self._spawn(self._keep(keys, token, lost))
                    try:
                        yield token
                    finally:
                        heartbeat.cancel()
            except TimeoutError:
                if not lost.expired():
                    raise
                raise StaleWriter(f"another process has taken over thread {thread_id!r}") from None
            finally:
                # A cancelled holder hands on as well: the task ends even if nothing awaits it.
                await asyncio.shield(self._spawn(self._release(keys, token)))

    async def _acquire(self, keys: _Keys, deadline: float) -> int | None:
        loop = asyncio.get_running_loop()
        while True:
            token = await patiently(partial(self._try, keys, deadline))
            if token is not None or loop.time() >= deadline:
                return token

    async def _try(self, keys: _Keys, deadline: float) -> int | None:
        attempt = self._spawn(self._attempt(keys, deadline))
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            # Redis may be giving us the thread right now: then it has to be handed on.
            self._spawn(self._pass_on(keys, attempt))
            raise

    async def _attempt(self, keys: _Keys, deadline: float) -> int | None:
        """Take the thread, or wait for it until its lease may have ended; `None`: ask again."""
        with redis_errors():
            token, *rest = await self._take(keys, [self._lease_ms])
            if token is not None:
                return int(token)
            handed = await self._pop(keys.baton, rest[0] / 1000, deadline)
            if handed is not None and await self._renew(keys, [handed, self._lease_ms]):
                return handed
        return None

    async def _pop(self, baton: str, lease: float, deadline: float) -> int | None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._pops.acquire()
        except TimeoutError:
            return None
        try:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return None
            patience = max(0.001, min(lease, left, self._max_pop))  # 0 would be for ever
            popped = await self._client.blpop([baton], timeout=patience)
            return int(popped[1]) if popped else None
        finally:
            self._pops.release()

    async def _keep(self, keys: _Keys, token: int, lost: asyncio.Timeout) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)  # one may fail: the next is in time
            with suppress(CheckpointsError), redis_errors():
                if not await self._renew(keys, [token, self._lease_ms]):
                    lost.reschedule(asyncio.get_running_loop().time())
                    return

    async def _release(self, keys: _Keys, token: int) -> None:
        # A turn that went well does not fail for this: the lease ends by itself.
        with suppress(CheckpointsError), redis_errors():
            await self._hand_on(keys, [token, self._lease_ms])

    async def _pass_on(self, keys: _Keys, attempt: asyncio.Task[int | None]) -> None:
        with suppress(CheckpointsError):
            token = await attempt
            if token is not None:
                await self._release(keys, token)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that outlives its caller's cancellation; the loop alone would forget it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _keys(self, thread_id: str) -> _Keys:
        thread = quote(thread_id, safe="", errors="surrogatepass")
        name = f"{{{self._prefix}:lock:{thread}}}"
        return _Keys(f"{name}:held", f"{name}:fence", f"{name}:baton")


def _busy(thread_id: str, wait: float) -> str:
    return f"another turn runs on thread {thread_id!r} since {wait:g} s or more"
