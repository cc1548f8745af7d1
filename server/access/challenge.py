"""How a token that lets nobody in is refused: RFC 6750, section 3."""

import re

from langgraph_sdk.auth.exceptions import HTTPException

from everturn.server.access.credentials import InvalidToken

_NOT_SAID = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
"""What an `error_description` may not hold."""


def refused(error: InvalidToken) -> HTTPException:
    """Return the error that an authenticator raises for a token: a 401 that says what is wrong."""
    described = _NOT_SAID.sub("'", str(error))
    challenge = f'Bearer error="invalid_token", error_description="{described}"'
    return HTTPException(401, str(error), {"WWW-Authenticate": challenge})
