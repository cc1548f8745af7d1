"""How often a caller may ask: which limits a request falls under, and whose they are.

method and path -> turns (what starts or answers one) or requests (the rest) -> their limits
signed in? -> the identity, else the client's address -> one count for each of the two
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Literal, NamedTuple, Protocol

from everturn.checkpoints.shared.limits import Left, Taken
from everturn.server.access.allowance import allowance_of
from everturn.server.access.caller import Caller
from everturn.server.access.counting import Counting
from everturn.server.access.limit_notation import Limit, parse_limits
from everturn.server.access.limit_settings import LimitSettings
from everturn.server.access.scopes import ADMIN

Kind = Literal["turns", "requests"]

TURNS_WITH_AUTH = "10/minute"
"""What a caller may where there is auth and nothing is set."""

_TURNS = re.compile(
    r"/invoke|/stream"
    r"|/api/chat/message(/stream)?|/api/chat/session/[^/]+/resume(/stream)?"
    r"|(/threads/[^/]+)?/runs(/wait|/stream|/crons)?|/runs/batch|/threads/[^/]+/commands"
)
"""The paths at which a POST starts or answers a turn, now or by the clock."""
_TURN_COMMANDS = frozenset({"run.start", "input.respond", "input.inject", "state.fork"})
_IPV6_OF_ONE = 64
"""Bits of an IPv6 address that tell networks apart: whoever has one has all addresses in it."""


class Counted(NamedTuple):
    """What became of a request that falls under limits."""

    kind: Kind
    passes: bool
    limits: Sequence[Limit]
    left: Sequence[Left]
    """Of each limit."""


class Counts(Protocol):
    """Where it is counted how often a caller came; see `RedisLimits`."""

    async def take(self, who: str, limits: Sequence[tuple[int, int]], times: int = 1) -> Taken: ...


class RateLimits:
    """Counts the requests of callers, and says which may pass."""

    def __init__(
        self,
        counts: Counts,
        turns: Sequence[Limit],
        requests: Sequence[Limit],
        hit: Callable[[str], None],
    ) -> None:
        """Limit what starts turns, and the other requests; `hit` is called with what was hit."""
        self._counts = counts
        self._limits: dict[Kind, Sequence[Limit]] = {"turns": turns, "requests": requests}
        self._hit = hit
        self._counting = Counting()

    def of(self, kind: Kind, caller: Caller | None) -> Sequence[Limit]:
        """Return the limits of a caller, or of a client that did not sign in."""
        allowance = allowance_of(caller)
        own = allowance.rate_limit if kind == "turns" else allowance.request_limit
        if own is not None:
            return parse_limits(own)
        if caller is not None and ADMIN in caller.permissions:
            return ()
        return self._limits[kind]

    def any_of(self, caller: Caller | None) -> bool:
        """Say whether a caller has limits at all."""
        return any(self.of(kind, caller) for kind in self._limits)

    async def count(
        self, kind: Kind, caller: Caller | None, address: str | None, times: int = 1
    ) -> Counted | None:
        """Count a request; None where it falls under no limit, or Redis is away."""
        limits = self.of(kind, caller)
        if not limits or self._counting.away:
            return None
        who = f"{kind} {limited_as(caller, address)}"
        taken = await self._counting.reply(self._counts.take(who, limits, times))
        if taken is None:
            return None
        if not taken.passes:
            self._hit(kind)
        return Counted(kind, taken.passes, limits, taken.left)


def rate_limits(
    settings: LimitSettings, counts: Counts, hit: Callable[[str], None], *, auth: bool
) -> RateLimits | None:
    """Return the limits that are set; None where there are none, and no caller has their own.

    Args:
        settings: what is set.
        counts: where it is counted.
        hit: is called with the kind of what was hit.
        auth: callers sign in.
    """
    default = TURNS_WITH_AUTH if auth else "off"
    turns = parse_limits(default if settings.rate_limit is None else settings.rate_limit)
    requests = parse_limits(settings.request_limit)
    return RateLimits(counts, turns, requests, hit) if turns or requests or auth else None


def kind_of(method: str, path: str) -> Kind:
    """Say which limits a request falls under."""
    return "turns" if method == "POST" and _TURNS.fullmatch(path) else "requests"


def starts_turn(command: object) -> bool:
    """Say whether a command of the event protocol, by its name, starts or answers a turn."""
    return isinstance(command, str) and command in _TURN_COMMANDS


def limited_as(caller: Caller | None, address: str | None) -> str:
    """Return whose limits count: those of a caller who signed in, else of the client's address."""
    if caller is not None and caller.is_authenticated:
        return f"caller {caller.identity}"
    return f"address {_network(address or '')}"


def _network(address: str) -> str:
    """Return an address, or its network where it is of IPv6; as it is where it is no address."""
    try:
        there = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(there, IPv4Address):
        return str(there)
    return str(there.ipv4_mapped or ip_network((there, _IPV6_OF_ONE), strict=False))
