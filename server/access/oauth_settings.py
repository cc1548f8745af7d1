"""Bearer tokens of an identity provider."""

from importlib.util import find_spec
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

RsaAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
Algorithm = RsaAlgorithm | Literal["ES256", "ES384", "ES512", "EdDSA"]
"""What tokens may be signed with: a public key verifies it, and cannot make it."""

_ADDRESS = r"^https?://[^\s@]+$"


class OAuthSettings(BaseSettings):
    """Which identity provider's tokens let callers in, and what they may do by them.

    The provider is named by its issuer, whose OpenID Connect discovery says where its keys are, or
    by the address of these keys. Without either, no bearer tokens are taken.
    """

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    auth_issuer: str | None = Field(
        default=None,
        pattern=_ADDRESS,
        description="Identity provider whose bearer tokens (JWT) let callers in, as their `iss` "
        "names it (extra `oauth`).",
    )
    auth_jwks_url: str | None = Field(
        default=None,
        pattern=_ADDRESS,
        description="Its public keys (JWKS), where it has no OpenID Connect discovery. Without "
        "EVERTURN_AUTH_ISSUER `iss` is not looked at.",
    )
    auth_audience: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Comma list: what the provider calls this service; the `aud` of a token names "
        "one of it. Needed for bearer tokens.",
    )
    auth_algorithms: Annotated[list[Algorithm], NoDecode] = Field(
        default=["RS256", "PS256", "ES256", "EdDSA"],
        min_length=1,
        description="Comma list of the algorithms that tokens may be signed with.",
    )
    auth_clock_skew: float = Field(
        default=60.0, ge=0, le=600, description="Seconds that the provider's clock may be off."
    )
    auth_identity_claim: str = Field(
        default="sub",
        min_length=1,
        description="The claim of a token that says who is asking; it must never pass to another "
        "person.",
    )
    auth_limits_claim: str | None = Field(
        default=None,
        min_length=1,
        description="The claim of a token with limits of its own, an object such as "
        '{"rate_limit": "60/minute"}; see limits.md.',
    )
    auth_scope_claims: Annotated[list[str], NoDecode] = Field(
        default=["scope", "scp", "permissions"],
        description="Comma list of the claims that hold scopes, as a list or a text with blanks; "
        "a dot leads into an object (realm_access.roles).",
    )
    auth_runs_scopes: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Comma list of scopes, one of which a token needs for the ordinary routes; if "
        "empty, every token will do.",
    )
    auth_admin_scopes: Annotated[list[str], NoDecode] = Field(
        default=["everturn:admin"],
        description="Comma list of scopes of operators, who may see and change everybody's data.",
    )
    auth_metrics_scopes: Annotated[list[str], NoDecode] = Field(
        default=["everturn:metrics"], description="Comma list of scopes for /metrics."
    )

    auth_client_id: str | None = Field(
        default=None,
        min_length=1,
        description="The page's public client at the identity provider: with it people sign in "
        "there (authorization code with PKCE). Unset, they enter a key or a token.",
    )
    auth_client_scopes: Annotated[list[str], NoDecode] = Field(
        default=["openid"],
        description="Comma list of the scopes that the page asks for as people sign in.",
    )

    @property
    def named(self) -> bool:
        """Whether there is an identity provider."""
        return bool(self.auth_issuer or self.auth_jwks_url)

    @field_validator(
        "auth_audience",
        "auth_algorithms",
        "auth_scope_claims",
        "auth_runs_scopes",
        "auth_admin_scopes",
        "auth_metrics_scopes",
        "auth_client_scopes",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [each.strip() for each in value.split(",") if each.strip()]
        return value

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.auth_client_id and not self.auth_issuer:
            raise ValueError(
                "EVERTURN_AUTH_CLIENT_ID is set, and no EVERTURN_AUTH_ISSUER, which says where "
                "people sign in"
            )
        if not self.named:
            if self.auth_audience:
                raise ValueError(
                    "EVERTURN_AUTH_AUDIENCE is set, and no provider: set EVERTURN_AUTH_ISSUER"
                )
            return self
        if not self.auth_audience:
            raise ValueError(
                "an identity provider is named, and no EVERTURN_AUTH_AUDIENCE: set what the "
                "provider calls this service, or tokens for other services would do here"
            )
        if find_spec("jwt") is None or find_spec("cryptography") is None:
            raise ValueError(
                "bearer tokens need an extra: pip install 'everturn[oauth]' "
                "(in a clone: .venv/bin/pip install -e '.[oauth]')"
            )
        return self
