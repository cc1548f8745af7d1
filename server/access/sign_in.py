"""Where people sign in at the identity provider, for the page: as the provider describes itself.

The page is a public client, by authorization code with PKCE: it has no secret, and neither has the
service. What a provider says is kept for an hour; one that is away is asked again after a while,
and until then people come in by a key.
"""

import asyncio
import re
from collections.abc import Mapping
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from structlog import get_logger

from everturn.server.access.oauth import Fetch, discovery_url
from everturn.server.access.oauth_settings import OAuthSettings

log = get_logger(__name__)

_FRESH_SECONDS, _PAUSE_SECONDS = 3600.0, 10.0
_PATIENCE = 3.0
"""Seconds that a page waits for the provider."""

_HOST = re.compile(r"([\w-]+(\.[\w-]+)*\.?|\[[\da-fA-F:.]+\])(:\d{1,5})?", re.ASCII)
"""A host by its name or number, and a port. A policy takes `*` for every host there is."""


class Endpoints(NamedTuple):
    """How to sign in."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    end_session_endpoint: str | None
    client_id: str
    scopes: list[str]
    audience: str


class SignInAtProvider:
    """Of the provider that the settings name; all methods are called in one event loop."""

    def __init__(self, settings: OAuthSettings, fetch: Fetch) -> None:
        self._settings = settings
        self._fetch = fetch
        self._known: Endpoints | None = None
        self._look_again_at = 0.0
        self._asking = asyncio.Lock()

    async def endpoints(self) -> Endpoints | None:
        """Return where to sign in; None where the provider does not say, or not anything usable."""
        if monotonic() >= self._look_again_at:
            async with self._asking:
                if monotonic() >= self._look_again_at:
                    await self._ask()
        return self._known

    async def _ask(self) -> None:
        issuer = str(self._settings.auth_issuer)
        try:
            async with asyncio.timeout(_PATIENCE):
                document = await self._fetch(discovery_url(issuer))
            self._known = self._read(issuer, document)
        except Exception as error:  # whatever the provider's answer makes of it
            log.warning("sign_in_not_known", error=str(error) or type(error).__name__)
            self._look_again_at = monotonic() + _PAUSE_SECONDS
        else:
            self._look_again_at = monotonic() + _FRESH_SECONDS

    def _read(self, issuer: str, document: Any) -> Endpoints:
        if not isinstance(document, Mapping):
            raise TypeError("the discovery document is no object")
        said = document.get("issuer")
        if not isinstance(said, str) or said.removesuffix("/") != issuer.removesuffix("/"):
            raise ValueError(
                "the discovery document is of another issuer than EVERTURN_AUTH_ISSUER"
            )
        methods = document.get("code_challenge_methods_supported", ["S256"])
        if not isinstance(methods, list) or "S256" not in methods:
            raise ValueError("the provider does not take PKCE with S256")
        end = document.get("end_session_endpoint")
        return Endpoints(
            said,
            _address(document, "authorization_endpoint", issuer),
            _address(document, "token_endpoint", issuer),
            None if end is None else _address(document, "end_session_endpoint", issuer),
            str(self._settings.auth_client_id),
            list(self._settings.auth_client_scopes),
            self._settings.auth_audience[0],
        )


def _address(document: Mapping[str, Any], name: str, issuer: str) -> str:
    """Return an address that a browser may be sent to; what a policy could not name is refused."""
    said = document.get(name)
    schemes = {"https"} if issuer.startswith("https://") else {"https", "http"}
    parts = urlsplit(said) if isinstance(said, str) and said.isascii() else None
    if parts is None or not _HOST.fullmatch(parts.netloc) or parts.scheme not in schemes:
        raise ValueError(f"the discovery document names no `{name}` that can be used")
    return parts.geturl()
