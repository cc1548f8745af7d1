"""What a caller shows to be let in."""

from typing import Protocol

from everturn.server.access.caller import Caller


class InvalidToken(Exception):
    """A token of a known kind that lets nobody in; its text says why, and may be shown."""


class Credentials(Protocol):
    """One kind of tokens."""

    async def caller(self, token: str) -> Caller | None:
        """Return who has this token; None where it is not of this kind.

        Raises:
            InvalidToken: it is of this kind, but expired, revoked or forged.
        """
        ...
