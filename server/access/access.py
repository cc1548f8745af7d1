"""What a caller may do: the handlers of a project's `auth`, asked as LangGraph's server asks them.

    value -> the most specific handler -> forbidden, or which resources it may be (a `Match`)

A handler may change the value that it is given, and what it says then is used.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol, cast
from uuid import UUID

from langgraph_sdk.auth.exceptions import HTTPException
from langgraph_sdk.auth.types import AuthContext, BaseUser
from structlog import get_logger

from everturn.checkpoints.sql.matches import EVERYTHING, Match
from everturn.server.access.caller import Caller, current_caller
from everturn.server.access.filters import match_of
from everturn.server.errors import Forbidden, InvalidRule

log = get_logger(__name__)

Resource = Literal["threads", "assistants", "crons", "store"]
Action = Literal[
    "create",
    "read",
    "update",
    "delete",
    "search",
    "create_run",
    "put",
    "get",
    "list_namespaces",
]
Handler = Callable[..., Awaitable[Any]]


class Access(Protocol):
    """Says what the current caller may do."""

    @property
    def on(self) -> bool:
        """Whether there are callers at all."""
        ...

    def sees_all(self) -> bool:
        """Say whether the current caller may see what is kept of other users."""
        ...

    async def allowed(self, resource: Resource, action: Action, value: dict[str, Any]) -> Match:
        """Return which resources the current caller may do something with, by their metadata.

        Args:
            resource: a kind.
            action: what is to be done.
            value: what was asked, in the words of `langgraph_sdk.auth.types`; may be changed.

        Raises:
            Forbidden: nothing of this kind.
            HTTPException: of the SDK, which a handler raised.
            InvalidRule: the handler failed, or said what is not understood.
        """
        ...


class Everybody:
    """Everybody may do everything: the access of a project without `auth`."""

    on = False

    def sees_all(self) -> bool:
        """See `Access`."""
        return True

    async def allowed(self, resource: Resource, action: Action, value: dict[str, Any]) -> Match:
        """See `Access`."""
        return EVERYTHING


class HandlerAccess:
    """The access of a project with handlers, found by resource and action; `*` is any."""

    on = True

    def __init__(
        self,
        handlers: Mapping[tuple[str, str], Handler],
        is_operator: Callable[[Caller], bool] = lambda _: False,
    ) -> None:
        """Ask these handlers; `is_operator` says of a caller whether they see everybody's."""
        self._handlers = dict(handlers)
        self._is_operator = is_operator

    def sees_all(self) -> bool:
        """See `Access`."""
        caller = current_caller()
        return caller is None or self._is_operator(caller)

    async def allowed(self, resource: Resource, action: Action, value: dict[str, Any]) -> Match:
        """See `Access`."""
        caller, handler = current_caller(), self._handler(resource, action)
        if caller is None or handler is None:
            return EVERYTHING
        context = AuthContext(
            permissions=caller.permissions,
            user=cast("BaseUser", caller),
            resource=resource,
            action=action,
        )
        name = f"{resource}.{action}"
        try:
            said = await handler(ctx=context, value=value)
            _plain_metadata(value)
            return _match(name, said)
        except (HTTPException, Forbidden):
            raise
        except AssertionError as error:  # how some handlers say no
            raise Forbidden(str(error) or _forbidden(name)) from error
        except InvalidRule as error:
            reason = f"The rule of {name} cannot be used: {error}."
            log.error("access_rule_not_used", rule=name, error=str(error))  # noqa: TRY400
            raise InvalidRule(reason) from error
        except Exception as error:
            if hasattr(error, "status_code"):  # Starlette's, and others made like it
                raise
            log.exception("access_rule_failed", rule=name)
            raise InvalidRule(f"The rule of {name} failed; the log says why.") from error

    def _handler(self, resource: str, action: str) -> Handler | None:
        """Find the most specific handler."""
        places = ((resource, action), (resource, "*"), ("*", action), ("*", "*"))
        return next((self._handlers[each] for each in places if each in self._handlers), None)


def _match(name: str, said: object) -> Match:
    if said is None or said is True:
        return EVERYTHING
    if said is False:
        raise Forbidden(_forbidden(name))
    if isinstance(said, Mapping):
        return match_of(said) if said else EVERYTHING
    raise InvalidRule(f"it must return None, a bool or a filter, not a {type(said).__name__}")


def _forbidden(name: str) -> str:
    return f"You may not do this: {name} is not allowed."


def _plain_metadata(value: dict[str, Any]) -> None:
    """Make plain JSON of the metadata that a handler has left in a value."""
    metadata = value.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, Mapping):
        raise InvalidRule(f"`metadata` must be an object, not a {type(metadata).__name__}")
    value["metadata"] = json.loads(json.dumps(dict(metadata), default=str))


def rule_id(text: str | None) -> UUID | str | None:
    """Return an id as LangGraph's server gives it to rules; only our own routes know other ones."""
    try:
        return UUID(text or "")
    except ValueError:
        return text
