"""The public keys of an identity provider, read when they are needed and kept.

A provider changes its keys: a token that names an unknown one has them read anew. Tokens with
invented names could have that done again and again, so there is a pause after each reading, and all
who wait for one wait for the same. A provider that is away takes nothing from the keys that are
known; those are read anew in the background when they are old.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import Context
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from jwt import PyJWK
from structlog import get_logger

from everturn.server.access.oauth import Fetch, discovery_url
from everturn.server.access.oauth_settings import OAuthSettings, RsaAlgorithm

if TYPE_CHECKING:
    from jwt.algorithms import AllowedPublicKeys  # not there otherwise in older versions

log = get_logger(__name__)

PAUSE_SECONDS = 10.0
"""Between two readings."""
_OLD_SECONDS = 3600.0
_MAX_KEYS = 100
_MIN_RSA_BITS = 2048

_RSA = frozenset(get_args(RsaAlgorithm))
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}


class ProviderAway(Exception):
    """The identity provider does not answer, and no key that is known will do."""


class Key(NamedTuple):
    """A public key."""

    id: str | None
    algorithms: frozenset[str]
    """That it verifies."""
    key: "AllowedPublicKeys"


class SigningKeys:
    """The keys of one provider; all methods are called in one event loop."""

    def __init__(self, settings: OAuthSettings, fetch: Fetch) -> None:
        self.issuer = settings.auth_issuer
        """What `iss` must be, as the provider spells it; None for anything."""
        self.version = 0
        """Changes with the keys."""
        self._settings = settings
        self._fetch = fetch
        self._known: Sequence[Key] = ()
        self._said: Any = None
        self._failed = False
        self._pause_until = self._old_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None, algorithm: str) -> Key | None:
        """Return the key of a name that verifies an algorithm; the only such one for no name.

        Raises:
            ProviderAway: the provider could not be asked for it.
        """
        found = self._find(key_id, algorithm)
        if found is None:
            if reading := self._read_anew():
                await asyncio.shield(reading)
            found = self._find(key_id, algorithm)
            if found is None and self._failed:
                raise ProviderAway
        return found

    def look(self) -> None:
        """Have keys that are old read anew, without waiting for it."""
        if self._known and monotonic() >= self._old_at:
            self._read_anew()

    def _find(self, key_id: str | None, algorithm: str) -> Key | None:
        fit = [each for each in self._known if algorithm in each.algorithms]
        if key_id is None:
            return fit[0] if len(fit) == 1 else None
        return next((each for each in fit if each.id == key_id), None)

    def _read_anew(self) -> asyncio.Task[None] | None:
        """Read the keys, unless that was done a moment ago; returns what to wait for."""
        if self._reading is None and monotonic() >= self._pause_until:
            # In a context of its own: it is nobody's request.
            self._reading = asyncio.create_task(
                self._read(), name="signing keys", context=Context()
            )
        return self._reading

    async def _read(self) -> None:
        try:
            issuer, said = await self._ask()
            known = usable_keys(said)
        except Exception as error:
            self._failed = True
            log.warning("signing_keys_not_read", error=str(error), known=len(self._known))
        else:
            self._failed, self.issuer, self._known = False, issuer, known
            self._old_at = monotonic() + _OLD_SECONDS
            if said != self._said:
                self._said, self.version = said, self.version + 1
                log.info("signing_keys_read", keys=len(known))
        finally:
            self._reading, self._pause_until = None, monotonic() + PAUSE_SECONDS

    async def _ask(self) -> tuple[str | None, Any]:
        """Return the issuer and its key set."""
        issuer, url = self._settings.auth_issuer, self._settings.auth_jwks_url
        if url is None:
            assert issuer is not None  # noqa: S101 - the settings name one of them
            issuer, url = _described(issuer, await self._fetch(discovery_url(issuer)))
        return issuer, await self._fetch(url)


def _described(issuer: str, document: Any) -> tuple[str, str]:
    """Read a discovery document: the issuer as it spells itself, and the address of its keys."""
    said, url = (
        (document.get("issuer"), document.get("jwks_uri"))
        if isinstance(document, Mapping)
        else (None, None)
    )
    if not isinstance(said, str) or said.removesuffix("/") != issuer.removesuffix("/"):
        raise ValueError("the discovery document is of another issuer than EVERTURN_AUTH_ISSUER")
    schemes = ("https://",) if issuer.startswith("https://") else ("https://", "http://")
    if not isinstance(url, str) or not url.startswith(schemes):
        raise ValueError("the discovery document names no `jwks_uri` that can be used")
    return said, url


def usable_keys(said: Any) -> Sequence[Key]:
    """Read a key set, RFC 7517; what cannot verify a signature is passed over.

    Raises:
        ValueError: nothing is left.
    """
    listed = said.get("keys") if isinstance(said, Mapping) else None
    rows = listed[:_MAX_KEYS] if isinstance(listed, list) else []
    keys = [key for row in rows if isinstance(row, dict) and (key := _readable_key(row))]
    if not keys:
        raise ValueError("the provider's key set has no key that can be used")
    return keys


def _readable_key(row: dict[str, Any]) -> Key | None:
    try:
        return _key(row)
    except Exception as error:  # whatever a broken key makes the library raise
        log.warning("signing_key_not_read", error=type(error).__name__)
        return None


def _key(row: dict[str, Any]) -> Key | None:
    key_id, use, operations = row.get("kid"), row.get("use", "sig"), row.get("key_ops", ["verify"])
    algorithms = _algorithms(row)
    private = "d" in row  # published by mistake: everybody could sign
    if not algorithms or private or use != "sig" or "verify" not in operations:
        return None
    key = PyJWK(row, min(algorithms)).key
    if row["kty"] == "RSA" and key.key_size < _MIN_RSA_BITS:
        log.warning("signing_key_too_short", bits=key.key_size)
        return None
    return Key(key_id if isinstance(key_id, str) else None, algorithms, key)


def _algorithms(row: dict[str, Any]) -> frozenset[str]:
    """Return what a key verifies: by its type, and its own word. Never what a secret would."""
    kind, curve, own = row.get("kty"), row.get("crv"), row.get("alg")
    fit = _RSA if kind == "RSA" else frozenset[str]()
    if kind in {"EC", "OKP"} and isinstance(curve, str) and curve in _CURVES:
        fit = frozenset({_CURVES[curve]})
    return fit if own is None else fit & {own} if isinstance(own, str) else frozenset()
