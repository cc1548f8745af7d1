"""Bearer tokens of an identity provider: whether there are any, and how OpenAPI shows them."""

from collections.abc import Awaitable, Callable
from typing import Any

from everturn.server.access.credentials import Credentials
from everturn.server.access.oauth_settings import OAuthSettings

Fetch = Callable[[str], Awaitable[Any]]
"""Returns the JSON at an address of the provider; raises where it cannot, for whatever reason."""


def open_tokens(settings: OAuthSettings, fetch: Fetch) -> Credentials | None:
    """Return the tokens of the identity provider that the settings name; None for none.

    The provider is first asked when a token comes.
    """
    if not settings.named:
        return None
    from everturn.server.access.signing_keys import SigningKeys
    from everturn.server.access.tokens import Tokens

    return Tokens(settings, SigningKeys(settings, fetch))


def security_schemes(settings: OAuthSettings) -> dict[str, Any]:
    """Return `securitySchemes` of OpenAPI, by name; empty without a provider."""
    if not settings.named:
        return {}
    if settings.auth_jwks_url or not settings.auth_issuer:
        return {"oauth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    url = discovery_url(settings.auth_issuer)
    return {"oauth": {"type": "openIdConnect", "openIdConnectUrl": url}}


def discovery_url(issuer: str) -> str:
    """Return where an issuer describes itself: OpenID Connect Discovery, section 4."""
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
