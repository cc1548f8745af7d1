"""Where a page may come from when a model chose the address: public hosts, nothing inside.

An address is judged after its name was resolved, by what a connection would really reach, so it
does not matter how it was written. The lists are IANA's special-purpose registries (RFC 6890),
kept here because `ipaddress.is_global` differs between versions of Python.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Self

from everturn.tools.kit.web.errors import Refused
from everturn.tools.kit.web.settings import WebSettings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS = frozenset({80, 443, 8080, 8443})
"""Where public hosts serve pages; other ports speak other protocols."""
MAX_LENGTH = 2048
"""Characters of an address."""
_HOST = re.compile(r"[a-z0-9_.-]{1,253}|[0-9a-f:.]{2,45}")  # a name, or an address of version 6

_INSIDE_4 = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT; clouds keep services there too
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, at a public address that never leaves the machine
        "169.254.0.0/16",  # link-local: the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # once 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
]
_GLOBAL_6 = IPv6Network("2000::/3")  # everything else is local, multicast or reserved
_INSIDE_6 = [
    IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocols, among them Teredo, which wraps an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 wraps an IPv4 address, and is no longer in use
        "3fff::/20",  # documentation
    )
]
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: how an IPv6-only host reaches IPv4


def is_public(address: Address) -> bool:
    """Say whether an address is one of the internet's, and nothing inside this host or network."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _INSIDE_4)
    wrapped = address.ipv4_mapped
    if wrapped is None and address in _NAT64:
        wrapped = IPv4Address(int(address) & 0xFFFF_FFFF)
    if wrapped is not None:
        return is_public(wrapped)
    return address in _GLOBAL_6 and not any(address in network for network in _INSIDE_6)


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator lets pages come from."""

    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    networks: Sequence[Network] = field(default=())

    @classmethod
    def of(cls, settings: WebSettings) -> Self:
        """Return the rules that settings give."""
        networks = [ip_network(network) for network in settings.fetch_networks]
        return cls(settings.fetch_allow, settings.fetch_deny, networks)

    def check_host(self, host: str) -> None:
        """Raise Refused for a host, as a URL names it, that is not to be asked."""
        host = host.lower().removesuffix(".")
        if not _HOST.fullmatch(host):
            raise Refused("The address names no host.")
        if _is_odd_number(host):
            raise Refused("The host is a number that is no IP address as people write it.")
        if _matches(host, self.deny) or (self.allow and not _matches(host, self.allow)):
            raise Refused(f"The operator of this service does not allow pages of {host}.")

    def check_addresses(self, host: str, addresses: Iterable[Address], port: int) -> None:
        """Raise Refused where any of a host's addresses must not be connected to at this port.

        One that must not is enough: a public name that also points inside is an attempt.
        """
        for address in addresses:
            if any(address in network for network in self.networks):
                continue
            if not is_public(address):
                raise Refused(f"{host} is not a public host, and only public pages are fetched.")
            if port not in PORTS:
                raise Refused(f"Port {port} is not one where pages are fetched from.")


def _is_odd_number(host: str) -> bool:
    """Say whether a resolver may read a host as a number: 2130706433, 0x7f.1, 0177.0.0.1."""
    last = host.rpartition(".")[2]
    if not last.isdigit() and not last.startswith("0x"):
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False


def _matches(host: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(host, pattern) for pattern in patterns)
