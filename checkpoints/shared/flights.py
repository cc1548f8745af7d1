"""Waiting for what another process makes: it writes its end to a stream on which others block.

So none polls. What it wrote stays for some seconds, for those that read the lease but have not
blocked yet.
"""

import asyncio
from typing import Any

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.redis.failures import redis_errors

FLIGHT_MS = 10_000  # that the end of a flight can be read

_MAX_BLOCKED = 8
"""A caller that waits keeps a connection: more of them could leave none to the others."""

_SOCKET_TIMEOUT = 5.0
"""Seconds; redis-py's own default, which a pool does not repeat among its options."""


class Flights:
    """Waits for the ends of flights."""

    def __init__(self, client: Redis | RedisCluster) -> None:
        self._client = client
        self._blocked = asyncio.Semaphore(_MAX_BLOCKED)
        # A read must end before the socket's patience does.
        socket_timeout = client.get_connection_kwargs().get("socket_timeout", _SOCKET_TIMEOUT)
        self._max_wait = socket_timeout / 2 if socket_timeout else _SOCKET_TIMEOUT

    @property
    def full(self) -> bool:
        """Whether as many wait as may."""
        return self._blocked.locked()

    async def wait(self, name: str, lease: float, slack: float) -> dict[bytes, bytes] | None:
        """Wait for the end of a flight; `None`: ask anew, its lease may have ended.

        Raises:
            TimeoutError, StoreUnavailable: Redis does not answer, `slack` seconds after it should.
        """
        seconds = min(lease, self._max_wait)
        async with self._blocked:
            with redis_errors():
                async with asyncio.timeout(seconds + slack):
                    block = round(seconds * 1000) + 1
                    read: Any = await self._client.xread({name: "0"}, block=block)
        for _, entries in read or ():
            for _, fields in entries:
                return dict(fields)
        return None
