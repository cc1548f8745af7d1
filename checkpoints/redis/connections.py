"""Asynchronous connections to Redis, better than redis-py's own in three ways.

Commands are packed in C, which redis-py does for its synchronous connections only. What the server
did in time counts, even where this process was too busy to see it in time. And one that was closed
while it was used says so by a ConnectionError, whatever the event loop raises.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

import hiredis
import redis
import redis.asyncio as aio
from redis.asyncio import connection, sentinel

from everturn.checkpoints.redis.patience import Patience


class _Better(connection.AbstractConnection):
    async def _connect(self) -> None:
        connect: Any = super()._connect  # type: ignore[safe-super]  # of the class beside it
        seconds = self.socket_connect_timeout
        if seconds is None:
            await connect()
            return
        self.socket_connect_timeout = None
        try:
            async with Patience(seconds):
                await connect()
        finally:
            self.socket_connect_timeout = seconds

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        with _closed_meanwhile():
            await super().send_packed_command(command, check_health)

    async def read_response(
        self,
        disable_decoding: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - as redis-py has it
        **how: Any,
    ) -> Any:
        read: Any = super().read_response  # redis-py leaves it untyped
        with _closed_meanwhile():
            if timeout is not None or self.socket_timeout is None:
                return await read(disable_decoding, timeout, **how)
            try:
                async with Patience(self.socket_timeout):
                    return await read(disable_decoding, inf, **how)
            except TimeoutError:
                raise redis.TimeoutError("Timeout reading from the server") from None

    def pack_command(self, *args: Any) -> list[bytes]:
        name = args[0]
        if isinstance(name, str):
            # A name of two words, "SCRIPT LOAD", is two arguments on the wire.
            command: Any = (*name.split(), *args[1:])
            with suppress(TypeError):
                return [hiredis.pack_command(command)]
        return super().pack_command(*args)  # what else redis-py takes, and its errors


_SAID_OF_CLOSED = ("'NoneType' object", "the handler is closed")


@contextmanager
def _closed_meanwhile() -> Iterator[None]:
    """Say that a connection is closed.

    Where a cluster changes, redis-py closes connections that others are using: they find nothing
    to write to (AttributeError), or uvloop's closed transport (RuntimeError).
    """
    try:
        yield
    except (AttributeError, RuntimeError) as error:
        if not any(each in str(error) for each in _SAID_OF_CLOSED):
            raise
        raise redis.ConnectionError(f"The connection was closed: {error}") from error


class _TCP(_Better, aio.Connection):
    pass


class _SSL(_Better, aio.SSLConnection):
    pass


class _Unix(_Better, aio.UnixDomainSocketConnection):
    pass


class _SentinelTCP(_Better, sentinel.SentinelManagedConnection):
    pass


class _SentinelSSL(_Better, sentinel.SentinelManagedSSLConnection):
    pass


_BETTER: dict[Any, Any] = {
    aio.Connection: _TCP,
    aio.SSLConnection: _SSL,
    aio.UnixDomainSocketConnection: _Unix,
    sentinel.SentinelManagedConnection: _SentinelTCP,
    sentinel.SentinelManagedSSLConnection: _SentinelSSL,
}


def better(kind: Any) -> Any:
    """The better one of redis-py's kinds of connection; a synchronous one is good enough."""
    return _BETTER.get(kind, kind)
