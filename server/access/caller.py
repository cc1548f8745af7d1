"""Who is asking: found out once, at the front, and there for all that the request sets going.

The current caller is in a context variable, which tasks inherit. None is the service itself: what
it does by the clock, calls of a graph from within, and everything where nobody has to sign in.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, is_dataclass
from typing import Any

from everturn.server.access.allowance import InvalidAllowance, read_allowance

_PREFIX = "langgraph_auth_"
"""How the names begin under which LangGraph's server gives the caller to a graph."""

_FIELDS = ("identity", "is_authenticated", "display_name", "permissions")


class InvalidCaller(TypeError):
    """What should describe a caller has no identity, or an amount that cannot be read.

    Its text has nothing of the user, so that it can be logged.
    """


class Caller(dict[str, Any]):
    """A user as plain JSON, whose members are attributes as well: `BaseUser` of LangGraph's SDK.

    Always there: `identity`, `is_authenticated`, `display_name` and `permissions`.
    """

    __slots__ = ("_source",)

    def __init__(self, document: Mapping[str, Any], source: object = None) -> None:
        """Take a document with an identity; what it does not have is asked of `source`.

        Raises:
            InvalidCaller: there is no identity, or it is no text.
        """
        identity = document.get("identity")
        if not isinstance(identity, str) or not identity:
            raise InvalidCaller("a user needs an `identity`, a text that is not empty")
        super().__init__(
            {
                "identity": identity,
                "is_authenticated": bool(document.get("is_authenticated", True)),
                "display_name": str(document.get("display_name") or identity),
                "permissions": list(document.get("permissions") or ()),
                **{key: value for key, value in document.items() if key not in _FIELDS},
            }
        )
        self._source = source

    @property
    def identity(self) -> str:
        """Who it is; differs from everybody else's."""
        return str(self["identity"])

    @property
    def is_authenticated(self) -> bool:
        """Whether the project knows who it is."""
        return bool(self["is_authenticated"])

    @property
    def display_name(self) -> str:
        """A name for people."""
        return str(self["display_name"])

    @property
    def permissions(self) -> list[str]:
        """What the project says that they may do."""
        return list(self["permissions"])

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            if name in self:
                return self[name]
            if self._source is not None:
                return getattr(self._source, name)
        raise AttributeError(f"the user has no {name!r}")


def caller_of(user: object) -> Caller:
    """Read what an authenticator returned: an identity, a mapping, or an object of the project's.

    Raises:
        InvalidCaller: it has no identity, or an `Allowance` that cannot be read.
    """
    if type(user) is Caller:  # of our own, and plain already
        return user
    if isinstance(user, str):
        return Caller({"identity": user})
    if isinstance(user, Mapping):
        return _checked(Caller(_plain(user)))
    named = {name: getattr(user, name) for name in _FIELDS if hasattr(user, name)}
    return _checked(Caller(_plain({**_members(user), **named}), user))


def _checked(caller: Caller) -> Caller:
    try:
        read_allowance(caller)
    except InvalidAllowance as error:
        raise InvalidCaller(f"a user's {error}") from error
    return caller


def _members(user: object) -> Mapping[str, Any]:
    if callable(dump := getattr(user, "model_dump", None)):
        dumped: Mapping[str, Any] = dump()
        return dumped
    if is_dataclass(user) and not isinstance(user, type):
        return asdict(user)
    found = getattr(user, "__dict__", {})
    return {name: value for name, value in found.items() if not name.startswith("_")}


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return it as JSON can say it; what JSON does not know is said as text."""
    permissions = document.get("permissions")
    listed = sorted(permissions) if isinstance(permissions, set | frozenset) else permissions
    plain: dict[str, Any] = json.loads(
        json.dumps({**document, "permissions": listed}, default=str, skipkeys=True)
    )
    return plain


_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_caller() -> Caller | None:
    """Return who is asking; None is the service itself."""
    return _current.get()


@contextmanager
def acting_as(caller: Caller | None) -> Iterator[None]:
    """Let everything in this block, and the tasks that it starts, be done for this caller."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)


def caller_config(caller: Caller | None) -> dict[str, Any]:
    """Return what a graph finds in `config["configurable"]`, as LangGraph's server gives it."""
    if caller is None:
        return {}
    return {
        f"{_PREFIX}user": Caller(caller),
        f"{_PREFIX}user_id": caller.identity,
        f"{_PREFIX}permissions": caller.permissions,
    }


def without_caller(configurable: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else it says: no client says who is asking, and none is shown it."""
    return {key: value for key, value in configurable.items() if not key.startswith(_PREFIX)}
