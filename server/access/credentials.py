"""What a client shows to be let in: our own keys, tokens of others. Each kind knows its own."""

from typing import Protocol

from everturn.server.access.caller import Caller


class InvalidToken(Exception):
    """The token is of this kind, but expired, revoked or forged; the text is for its sender."""


class Credentials(Protocol):
    """One kind of tokens."""

    async def caller(self, token: str) -> Caller | None:
        """Return who has this token; None where it is not of this kind.

        Raises:
            InvalidToken: it is of this kind, and lets nobody in.
        """
        ...
