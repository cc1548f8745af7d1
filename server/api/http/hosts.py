"""Which names the service answers to, and whose web pages may change something.

A web page can give its own name the address of this machine (DNS rebinding): to the browser the
service is then a part of that page. The `Host` header still has the page's name, so a name that is
not the service's own is refused. What a page of another origin sends arrives even if the page may
not read the answer; so what changes something is refused there, too.
"""

import re
import socket
from http import HTTPStatus
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from everturn.server.address import bare_name, is_loopback
from everturn.server.api.http.in_process import IN_PROCESS
from everturn.server.api.http.problems import Problem, problem_response

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""They change nothing, RFC 9110."""

_MAX_ORIGIN = 300
"""A scheme, a name of at most 253 characters, and a port."""
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+(%\w+)?\]|[^:\[\]/?#@\s\\]+)(:\d{1,5})?")


class OwnNames:
    """The names by which clients may call.

    Bound to loopback, names and addresses of this machine's loopback. Bound elsewhere, every
    address (a page cannot make one its name) and the machine's own name, too.
    """

    def __init__(self, host: str, allowed: str) -> None:
        """Find out the names.

        Args:
            host: the address that the service listens at.
            allowed: more names, separated by commas; `*.example.org` is any name below, `*` all.
        """
        self._all_addresses = not is_loopback(host)
        listed = {name.strip().lower() for name in allowed.split(",")} - {""}
        self._any = "*" in listed
        self._below = tuple(name[1:] for name in listed if name.startswith("*."))
        self._names = listed | {"localhost", bare_name(host)}
        if self._all_addresses:
            name = socket.gethostname().lower()
            self._names |= {name, name.partition(".")[0]}

    def __contains__(self, authority: str) -> bool:
        """Say whether `name` or `name:port` is one of them."""
        found = _HOST.fullmatch(authority)
        if found is None:
            return False
        name = bare_name(found["name"])
        if self._any or name in self._names or name.endswith((".localhost", *self._below)):
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return False
        return self._all_addresses or address.is_loopback


class OwnPagesOnly:
    """Middleware: refuses foreign names, and changes by foreign web pages."""

    def __init__(self, app: ASGIApp, names: OwnNames, origins: str) -> None:
        """Guard an app.

        Args:
            app: what is guarded.
            names: those of the service.
            origins: of web pages that may call, as one pattern.
        """
        self.app = app
        self._names = names
        self._origins = re.compile(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = None
        if scope["type"] in {"http", "websocket"} and not scope.get(IN_PROCESS):
            problem = self._problem(scope)
        if problem is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await problem_response(problem)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": problem.title})

    def _problem(self, scope: Scope) -> Problem | None:
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0] not in self._names:
            return Problem(
                type="misdirected-request",
                title=HTTPStatus.MISDIRECTED_REQUEST.phrase,
                status=421,
                detail="The service does not answer to this Host; names other than those of the "
                "machine itself are listed in EVERTURN_ALLOWED_HOSTS.",
            )
        origins = _values(scope, b"origin")
        # Patterns with several * take long to look through a long text, here and in CORS.
        plausible = all(len(origin) <= _MAX_ORIGIN for origin in origins)
        safe = scope["type"] == "http" and scope["method"] in SAFE_METHODS
        if plausible and (safe or all(self._may_change(each, hosts[0]) for each in origins)):
            return None
        return Problem(
            type="foreign-origin",
            title=HTTPStatus.FORBIDDEN.phrase,
            status=403,
            detail="Web pages of this origin may not call; those that may are listed in "
            "EVERTURN_CORS_ORIGINS.",
        )

    def _may_change(self, origin: str, host: str) -> bool:
        scheme, _, there = origin.lower().partition("://")
        default = {"http": ":80", "https": ":443"}.get(scheme, "")  # a proxy may name it in `Host`
        same = there.removesuffix(default) == host.lower().removesuffix(default)
        return same or self._origins.fullmatch(origin) is not None


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
