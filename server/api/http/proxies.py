"""Who a request comes from, where it came through proxies: by their word, if they are trusted.

Every proxy adds the address that called it to the end of `X-Forwarded-For`, or of `Forwarded` (RFC
7239); what stands before may be a client's invention. So the addresses are read from the end, as
far as each is a trusted proxy: the first that is none is the client.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from everturn.server.address import networks
from everturn.server.api.http.in_process import IN_PROCESS
from everturn.server.api.http.problems import Problem, problem_response

_MAX_HOPS = 32
_MAX_ADDRESS = 64
"""Characters, with brackets and a port."""

_DISAGREE = Problem(
    type="bad-request",
    title="Bad Request",
    status=400,
    detail="X-Forwarded-For and Forwarded name different clients: have the proxy set one of them, "
    "and take the other away.",
)


class Proxies:
    """The addresses of proxies that are trusted; membership is by an address as text."""

    def __init__(self, listed: str) -> None:
        """Take addresses and networks, separated by commas.

        Raises:
            ValueError: one of them is neither.
        """
        self._networks = networks(listed)
        self._trusts = lru_cache(maxsize=1024)(self._is_listed)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and self._trusts(address)

    def _is_listed(self, said: str) -> bool:
        address = _address(said)
        return address is not None and any(
            ip_address(address) in network for network in self._networks
        )


class _Hop(NamedTuple):
    """What one proxy says of who called it."""

    address: str
    scheme: str


class BehindProxies:
    """Middleware: corrects the client and the scheme of a request that a trusted proxy sends."""

    def __init__(self, app: ASGIApp, proxies: Proxies) -> None:
        self.app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = scope["type"] != "lifespan" and not scope.get(IN_PROCESS) and scope.get("client")
        agree = True
        if known and known[0] in self._proxies:
            agree = self._correct(scope, known[0])
        if agree:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await problem_response(_DISAGREE)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": _DISAGREE.title})

    def _correct(self, scope: Scope, peer: str) -> bool:
        """Put right what the connection shows; whether the two headers agree."""
        said: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            if name in {b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"}:
                said.setdefault(name, []).append(value.decode("latin-1"))
        if not said:
            return True
        schemes = _listed(said.get(b"x-forwarded-proto", ()))
        legacy = _hops(_listed(said.get(b"x-forwarded-for", ())), schemes)
        standard = [_hop(each) for each in _listed(said.get(b"forwarded", ()))]
        found = self._client(peer, legacy or standard)
        if legacy and standard and found.address != self._client(peer, standard).address:
            return False
        scope["client"] = found.address, 0
        scheme = found.scheme.lower() or (schemes[0].lower() if schemes else "")
        if scheme in {"http", "https", "ws", "wss"}:
            plain, secure = ("ws", "wss") if scope["type"] == "websocket" else ("http", "https")
            scope["scheme"] = secure if scheme in {"https", "wss"} else plain
        return True

    def _client(self, peer: str, hops: Sequence[_Hop]) -> _Hop:
        """Go from proxy to proxy, the nearest first, for as long as they are trusted."""
        client, scheme = peer, ""
        for hop in hops:
            address = _address(hop.address)
            if address is None:  # hidden, unknown or invented: who told so is all that is known
                break
            client, scheme = address, hop.scheme
            if client not in self._proxies:
                break
        return _Hop(client, scheme)


def _listed(values: Sequence[str]) -> list[str]:
    """The elements of a header, the last first; what is before `_MAX_HOPS` stays one."""
    elements = reversed(",".join(values).rsplit(",", _MAX_HOPS))
    return [element.strip() for element in elements if element.strip()]


def _hops(addresses: Sequence[str], schemes: Sequence[str]) -> list[_Hop]:
    """Join addresses and schemes; of fewer schemes than addresses, the nearest proxy's counts."""
    if len(schemes) != len(addresses):
        schemes = [schemes[0] if schemes else ""] * len(addresses)
    return [_Hop(*each) for each in zip(addresses, schemes, strict=True)]


def _hop(element: str) -> _Hop:
    """Read an element of `Forwarded`: `for=192.0.2.1;proto=https`."""
    pairs = (pair.partition("=") for pair in element.split(";"))
    said = {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
    return _Hop(said.get("for", ""), said.get("proto", ""))


def _address(said: str) -> str | None:
    """Return an address without its port and zone, as one text for one address; None for none."""
    if len(said) > _MAX_ADDRESS:
        return None
    if said.startswith("["):
        said = said[1:].partition("]")[0]
    elif said.count(":") == 1:
        said = said.partition(":")[0]
    try:
        address = ip_address(said.partition("%")[0])
    except ValueError:
        return None
    # Where IPv4 comes to a socket of IPv6.
    return str(getattr(address, "ipv4_mapped", None) or address)
