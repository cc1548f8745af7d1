"""Our own `auth`, in the shape of a project's: it stands where `langgraph.json` names none."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from langgraph_sdk.auth.exceptions import HTTPException

from everturn.server.access.access import Handler
from everturn.server.access.caller import Caller
from everturn.server.access.challenge import refused
from everturn.server.access.credentials import Credentials, InvalidToken
from everturn.server.access.scopes import Scope
from everturn.server.projects.auth import ProjectAuth

_NOBODY = (
    "Say who you are: send a key as `Authorization: Bearer …` or as `x-api-key`. "
    "Who runs the service makes one by `everturn keys create NAME`."
)
_UNKNOWN = "No one here knows this token: send a key that begins with `evt_`, or a valid token."
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`evt_…`, or a token."},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "`evt_…`."},
}


def own_auth(
    credentials: Sequence[Credentials],
    handlers: Mapping[tuple[str, str], Handler],
    scope_of: Callable[[str], Scope | None],
    schemes: Mapping[str, Any] | None = None,
) -> ProjectAuth:
    """Make an `auth` of the kinds of tokens there are.

    Args:
        credentials: are asked one after the other. There may come more until the first request.
        handlers: what callers may do, as those of a project.
        scope_of: the scope that a path needs; None where it is open to everybody.
        schemes: of OpenAPI, beside those of our own keys.
    """
    return ProjectAuth(
        authenticate=_authenticator(credentials),
        takes=frozenset({"headers"}),
        handlers=handlers,
        openapi={"securitySchemes": {**_SCHEMES, **(schemes or {})}},
        scope_of=scope_of,
        by_owner=True,
    )


def _authenticator(credentials: Sequence[Credentials]) -> Callable[..., Awaitable[Caller]]:
    async def authenticate(headers: Mapping[bytes, bytes]) -> Caller:
        token = _token(headers)
        if not token:
            raise HTTPException(detail=_NOBODY)
        try:
            for kind in credentials:
                if (caller := await kind.caller(token)) is not None:
                    return caller
        except InvalidToken as error:
            raise refused(error) from None
        raise refused(InvalidToken(_UNKNOWN))

    return authenticate


def _token(headers: Mapping[bytes, bytes]) -> str:
    """Find the token. LangGraph's SDK may add a key of another service as `x-api-key`."""
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and (token := token.strip()):
        return token
    return headers.get(b"x-api-key", b"").decode("latin-1").strip()
