"""Bearer tokens (JWT, RFC 7519) of an identity provider: verified, and then known for a while.

size, shape -> header: type, algorithm -> the provider's key of that name -> signature
    -> exp, nbf, iat, iss, aud -> caller

Nothing that a token says of itself chooses how it is verified: its algorithm is one of the
settings' and fits the key, and the key is one of the provider's own. What else a header may say of
keys (`jku`, `x5u`, `jwk`, `x5c`) is not looked at. See RFC 8725 for the attacks.
"""

from collections.abc import Mapping
from hashlib import sha256
from time import time
from typing import Any

import jwt
from langgraph_sdk.auth.exceptions import HTTPException
from structlog import get_logger

from everturn.server.access.caller import Caller
from everturn.server.access.claims import caller_of_claims
from everturn.server.access.credentials import InvalidToken
from everturn.server.access.oauth_settings import OAuthSettings
from everturn.server.access.signing_keys import Key, ProviderAway, SigningKeys

log = get_logger(__name__)

MAX_LENGTH = 16_384
"""Characters of a token."""
MAX_KNOWN = 4096
"""Tokens that are known at once."""
_MAX_KEY_ID = 256
_RETRY_AFTER = {"Retry-After": "10"}
"""Seconds; before that the provider is not asked again."""
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_SIGNED, _ENCRYPTED = 2, 4
"""Dots in a token, RFC 7515 and 7516."""

_REASONS: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "The token has expired: get a new one.",
    jwt.ImmatureSignatureError: "The token is not valid yet: is a clock wrong?",
    jwt.InvalidAudienceError: "The token is for another service: its aud is not this one's.",
    jwt.InvalidIssuerError: "The token is of another issuer.",
    jwt.InvalidSignatureError: "The signature of the token is wrong.",
    jwt.MissingRequiredClaimError: "The token lacks a claim: it needs exp, aud and iss.",
}


class Tokens:
    """The tokens of one identity provider: `Credentials`."""

    def __init__(self, settings: OAuthSettings, keys: SigningKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._version = 0
        self._known: dict[bytes, tuple[Caller, int]] = {}
        """By a token's hash: whose it is, and until when (seconds since 1970)."""

    async def caller(self, token: str) -> Caller | None:
        """Return who has this token; None where it is no JWT.

        Raises:
            InvalidToken: it is one, and lets nobody in; says why, and nothing of the token.
            HTTPException: 503, as the provider does not answer and its keys are not known.
        """
        if token.count(".") not in {_SIGNED, _ENCRYPTED} or not token.isascii():
            return None
        try:
            return await self._caller(token)
        except InvalidToken as error:
            log.info("token_refused", reason=str(error))
            raise

    async def _caller(self, token: str) -> Caller:
        if len(token) > MAX_LENGTH:
            raise InvalidToken(f"The token is longer than {MAX_LENGTH} characters.")
        self._keys.look()
        self._forget_if_keys_changed()
        digest = sha256(token.encode()).digest()
        if (known := self._known.get(digest)) and time() < known[1]:
            return known[0]
        claims = self._claims(token, await self._key(_header(token, self._settings)))
        caller = caller_of_claims(claims, self._settings)
        self._forget_if_keys_changed()
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[digest] = caller, int(claims["exp"])
        return caller

    def _forget_if_keys_changed(self) -> None:
        """A key that the provider took back verifies nothing, not even what it has verified."""
        if self._version != self._keys.version:
            self._version = self._keys.version
            self._known.clear()

    async def _key(self, header: Mapping[str, Any]) -> Key:
        try:
            key = await self._keys.find(header.get("kid"), header["alg"])
        except ProviderAway:
            raise HTTPException(
                503,
                "The identity provider does not answer: come back in a moment.",
                _RETRY_AFTER,
            ) from None
        if key is None:
            raise InvalidToken("The token is signed by a key that is none of the provider's.")
        return key

    def _claims(self, token: str, key: Key) -> dict[str, Any]:
        """Verify all that a token says of itself."""
        needed = ["exp", "aud", *(["iss"] if self._keys.issuer else [])]
        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=sorted(key.algorithms & {*self._settings.auth_algorithms}),
                audience=self._settings.auth_audience,
                issuer=self._keys.issuer,
                leeway=self._settings.auth_clock_skew,
                options={"require": needed},
            )
        except Exception as error:  # whatever a forged token makes the library raise
            raise _refusal(error) from None


def _header(token: str, settings: OAuthSettings) -> Mapping[str, Any]:
    """Read what a token says of its signature, before a key is looked for."""
    if token.count(".") == _ENCRYPTED:
        raise InvalidToken("The token is encrypted: only signed ones are read.")
    try:
        header = jwt.get_unverified_header(token)
    except Exception as error:
        raise _refusal(error) from None
    if header.get("alg") not in settings.auth_algorithms:
        raise InvalidToken("The token is signed by an algorithm that is not taken.")
    if "crit" in header:
        raise InvalidToken("The token demands an extension that is not known (crit).")
    if str(header.get("typ", "jwt")).lower() not in _TYPES:
        raise InvalidToken("The token is no access token: its typ is another.")
    key_id = header.get("kid")
    if key_id is not None and (not isinstance(key_id, str) or len(key_id) > _MAX_KEY_ID):
        raise InvalidToken("The token names its key (kid) in a way that no provider does.")
    return header


def _refusal(error: Exception) -> InvalidToken:
    """Name what the library found, without its own words: they could hold some of the token."""
    known = next((_REASONS[kind] for kind in type(error).__mro__ if kind in _REASONS), None)
    return InvalidToken(known or "The token is no JWT that can be read.")
