"""Where the service listens, and how clients on this machine find it again."""

import errno
import socket
import sys
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from everturn.checkpoints.local.data_dir import published_address
from everturn.server.environment import quick_setting

DEFAULT_PORT = 2024
"""Of LangGraph's development server, where its clients look first."""
_PORTS = 20
"""Of these, from the default one on, the first free one is taken where none was chosen."""

_UNSENT_BYTES = 131_072
"""Of one connection, in the system's memory; it would else grow to megabytes."""


class CannotListen(Exception):
    """Another process listens where the service should, or there is no such place."""


def listen(host: str, port: int, *, chosen: bool) -> socket.socket:
    """Listen at a port; where none was chosen, at the next free one.

    Raises:
        CannotListen: saying what to do.
    """
    last = port if chosen else port + _PORTS - 1
    for candidate in range(port, last + 1):
        try:
            return _bind(host, candidate)
        except socket.gaierror:
            raise CannotListen(
                f"{host!r} is no address of this machine; see EVERTURN_HOST."
            ) from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE and candidate < last:
                continue
            where, reason = f"{host}:{candidate}", error.strerror
            if last > port and error.errno == errno.EADDRINUSE:
                where, reason = f"{host}", f"the ports {port} to {last} are all taken"
            raise CannotListen(
                f"cannot listen on {where}: {reason}. "
                "Stop what listens there, or choose another with --port or EVERTURN_PORT."
            ) from None
    raise AssertionError("a port is taken or refused above")


def _bind(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.create_server(address[:2], family=family, backlog=2048)
    _set_up(listener)
    return listener


def _set_up(listener: socket.socket) -> None:
    listener.setblocking(False)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # what clients do not read fills no memory elsewhere
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def networks(listed: str) -> list[IPv4Network | IPv6Network]:
    """Read a comma list of addresses and networks.

    Raises:
        ValueError: one of them is neither; says how they are written.
    """
    try:
        return [ip_network(each.strip()) for each in listed.split(",") if each.strip()]
    except ValueError as error:
        raise ValueError(f"{error}; write 10.1.2.3, 10.1.0.0/16 or fd00::/8") from None


class SharedPort:
    """One port for several processes, each of which listens by a socket of its own.

    Linux deals connections out evenly among such sockets. Elsewhere all have one and the same, and
    the process that is woken first takes what has come.
    """

    def __init__(self, host: str, port: int, *, chosen: bool) -> None:
        """Find the port as `listen` does, and keep it; raises CannotListen."""
        self.reserved = listen(host, port, chosen=chosen)
        """Of this port; no client is served by it."""
        if sys.platform == "linux":
            # Others may not join a socket that is alone at its port, as this one showed it is.
            address, self.reserved = self.reserved, socket.socket(self.reserved.family)
            at = address.getsockname()[:2]
            address.close()
            _bind_beside(self.reserved, at)

    def socket(self) -> socket.socket:
        """Make the socket of one process, which has yet to listen."""
        if sys.platform != "linux":
            return self.reserved.dup()
        beside = socket.socket(self.reserved.family)
        _bind_beside(beside, self.reserved.getsockname()[:2])
        return beside

    def close(self) -> None:
        """Give the port back, as far as no process listens."""
        self.reserved.close()


def _bind_beside(unbound: socket.socket, address: tuple[str, int]) -> None:
    unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if unbound.family == socket.AF_INET6:
        unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    _set_up(unbound)
    unbound.bind(address)


def is_loopback(host: str) -> bool:
    """Say whether an address, or a name, can be reached from this machine alone."""
    try:
        return ip_address(bare_name(host)).is_loopback
    except ValueError:
        return bare_name(host) == "localhost" or bare_name(host).endswith(".localhost")


def bare_name(name: str) -> str:
    """A name without the brackets of an IPv6 address, its zone, or the dot of the root."""
    return name.lower().strip("[]").partition("%")[0].removesuffix(".")


def url_of(listener: socket.socket) -> str:
    """The URL of a socket that listens, as it was asked to."""
    host, port = listener.getsockname()[:2]
    return url_at(host, port)


def local_url_of(listener: socket.socket) -> str:
    """The URL for clients on this machine: not every system connects to 0.0.0.0."""
    host, port = listener.getsockname()[:2]
    address = ip_address(host.partition("%")[0])
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"  # noqa: PLR2004 - IPv4
    return url_at(host, port)


def running_url(data_dir: str | None = None) -> str:
    """Find the service on this machine: that of the data folder, or else at the set port.

    It is found as settings are, without the time to import them.

    Raises:
        WrongSetting: the `.env` cannot be read.
    """
    folder = data_dir or quick_setting("EVERTURN_DATA_DIR") or ".everturn"
    url = published_address(Path(folder))
    return url or f"http://127.0.0.1:{quick_setting('EVERTURN_PORT') or DEFAULT_PORT}"


def url_at(host: str, port: int) -> str:
    """The URL of a host and port."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
