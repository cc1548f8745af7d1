"""Connections: names are looked up here, checked, and what was checked is connected to.

The pools keep the host's name for TLS and the Host header, and ask this module for the socket. So
no name can point elsewhere between check and connection (DNS rebinding), and a connection that is
used again leads to an address that was checked.
"""

import socket
from asyncio import Future, get_running_loop
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from itertools import chain, zip_longest
from ssl import SSLContext
from threading import BoundedSemaphore, Thread
from typing import Protocol, cast

import anyio
import httpcore2
import httpx2

from everturn.tools.kit.web.addresses import Address

ALLOW_NETWORK = True
"""Tests set this to False: hosts off this machine are then refused before a byte is sent."""

Check = Callable[[str, Sequence[Address], int], None]
"""Raises for a host, its addresses and a port that must not be connected to."""

_STAGGER = 0.25  # seconds before the next address is tried too: RFC 8305
_MAX_ADDRESSES = 6
_NAME_SHARE = 2 / 3  # of the time to connect
_MAX_LOOKUPS = 16
_lookups = BoundedSemaphore(_MAX_LOOKUPS)


class Network(Protocol):
    """What lies below HTTP; tests put another in its place."""

    async def resolve(self, host: str) -> list[Address]:
        """Return the addresses of a host, best first, or raise `httpcore2.ConnectError`."""
        ...

    async def dial(self, address: Address, port: int) -> httpcore2.AsyncNetworkStream:
        """Connect, or raise `httpcore2.ConnectError`."""
        ...


class Internet:
    """The network of this machine."""

    async def resolve(self, host: str) -> list[Address]:
        """Ask the system's resolver."""
        if not ALLOW_NETWORK and host != "localhost":
            raise RuntimeError(f"Names are not looked up here (ALLOW_NETWORK): {host}")
        if not _lookups.acquire(blocking=False):
            raise httpcore2.ConnectError("the system's resolver does not answer")
        found: Future[list[Address]] = get_running_loop().create_future()
        Thread(None, _look_up, f"look-up {host}", (host, found), daemon=True).start()
        return await found

    async def dial(self, address: Address, port: int) -> httpcore2.AsyncNetworkStream:
        """Connect by TCP."""
        if not ALLOW_NETWORK and not address.is_loopback:
            raise RuntimeError(f"Connections are refused here (ALLOW_NETWORK): {address}")
        backend = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())
        return await backend.connect_tcp(str(address), port)


class Checked(httpcore2.AsyncNetworkBackend):
    """Gives the pools their sockets, after a look at where they lead."""

    def __init__(self, network: Network, check: Check | None) -> None:
        self._network = network
        self._check = check

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Resolve, check, connect; `timeout` in seconds, for all of it."""
        try:
            with anyio.fail_after(timeout):
                addresses = await self._addresses(host, timeout)
                if self._check is not None:
                    self._check(host, addresses, port)
                return await _first(self._network, addresses, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"no connection to {host} in {timeout:g} s") from None

    async def _addresses(self, host: str, seconds: float | None) -> list[Address]:
        with suppress(ValueError):
            return [ip_address(host)]
        try:
            with anyio.fail_after(None if seconds is None else seconds * _NAME_SHARE):
                return await self._network.resolve(host)
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"the address of {host} was not found in time") from None


class Transport(httpx2.AsyncHTTPTransport):
    """HTTP/1.1 over connections that `Checked` makes. No proxies: they would look names up anew."""

    def __init__(self, network: Network, check: Check | None, ssl: SSLContext, idle: int) -> None:
        """Keep `idle` connections open between requests."""
        super().__init__(verify=ssl, trust_env=False)
        # The public class takes no network backend; the pool that it wraps does.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl,
            max_connections=100,
            max_keepalive_connections=idle,
            keepalive_expiry=30.0,
            network_backend=Checked(network, check),
        )


def _look_up(host: str, found: Future[list[Address]]) -> None:
    """Resolve in a daemon thread: a resolver that hangs must not keep the process from ending."""
    finish: Callable[[], None]
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        addresses = dict.fromkeys(ip_address(info[4][0]) for info in infos)
        finish = partial(found.set_result, list(addresses))
    except (OSError, ValueError):  # ValueError: a name that cannot be encoded
        error = httpcore2.ConnectError(f"no address is known for {host}")
        finish = partial(found.set_exception, error)
    finally:
        _lookups.release()
    with suppress(RuntimeError):  # the loop is closed
        found.get_loop().call_soon_threadsafe(lambda: None if found.done() else finish())


async def _first(
    network: Network, addresses: Sequence[Address], port: int
) -> httpcore2.AsyncNetworkStream:
    """Connect to whichever address answers first, of both families in turn (RFC 8305)."""
    if len(addresses) == 1:
        return await network.dial(addresses[0], port)
    winner: list[httpcore2.AsyncNetworkStream] = []
    failures: list[Exception] = []

    async def attempt(address: Address, over: anyio.Event) -> None:
        try:
            stream = await network.dial(address, port)
        except Exception as error:
            failures.append(error)
            over.set()
            return
        if winner:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            return
        winner.append(stream)
        group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            for address in _in_turn(addresses)[:_MAX_ADDRESSES]:
                over = anyio.Event()
                group.start_soon(attempt, address, over)
                with anyio.move_on_after(_STAGGER):
                    await over.wait()
    except BaseException:  # the caller left in the moment of success
        for stream in winner:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
        raise
    if not winner:
        raise failures[0] if failures else httpcore2.ConnectError("the host has no address")
    return winner[0]


def _in_turn(addresses: Sequence[Address]) -> list[Address]:
    first = [each for each in addresses if each.version == addresses[0].version]
    other = [each for each in addresses if each.version != addresses[0].version]
    return [each for each in chain.from_iterable(zip_longest(first, other)) if each is not None]
