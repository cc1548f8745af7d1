"""What the page must know before anybody has signed in: nothing that is anybody's."""

from typing import Literal

from pydantic import BaseModel, Field


class OAuth(BaseModel):
    """How people sign in at the identity provider: authorization code with PKCE (S256)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    end_session_endpoint: str | None = Field(description="Null: there is none.")
    client_id: str = Field(description="The page's, a public client's.")
    scopes: list[str] = Field(description="To ask for.")
    audience: str = Field(description="What the provider calls the service.")


class SignIn(BaseModel):
    """How to sign in."""

    api_key: Literal[True] = Field(
        description="By a key, sent as `Authorization: Bearer …` and as `X-Api-Key`."
    )
    oauth: OAuth | None = Field(
        description="Null: there is no provider with a client for the page, or it is away."
    )


class PageConfig(BaseModel):
    """What the page has to know of the service."""

    version: str = Field(description="Of Everturn.")
    mount_prefix: str = Field(description="What stands before each route; empty for nothing.")
    auth: SignIn | Literal[False] = Field(description="False: nobody has to sign in.")
