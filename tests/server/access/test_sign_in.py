"""Where people sign in: as the provider describes itself, strictly, and kept for a while."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from everturn.server.access.oauth_settings import OAuthSettings
from everturn.server.access.sign_in import SignInAtProvider
from tests.server.access.identity_provider import (
    AUDIENCE,
    IdentityProvider,
    providing,
    settings_of,
)
from tests.server.api.page.built import BROWSER, with_page

PLACES = {
    "authorization_endpoint": "https://login.example.org/authorize?realm=team",
    "token_endpoint": "https://tokens.example.org/token",
}


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with providing() as running:
        running.discovery |= PLACES
        yield running


def of_page(provider: IdentityProvider, **values: Any) -> dict[str, Any]:
    return {
        "auth_issuer": provider.url,
        "auth_audience": AUDIENCE,
        "auth_client_id": "everturn-page",
        "fetch_networks": "127.0.0.0/8",
        **values,
    }


def test_the_page_is_told_where_and_may_ask_there(
    tmp_path: Path, provider: IdentityProvider
) -> None:
    own = of_page(provider, auth_client_scopes="openid,everturn:metrics")
    with with_page(tmp_path, **own) as client:
        assert client.get("/page/config.json").json()["auth"] == {
            "api_key": True,
            "oauth": {
                "issuer": provider.url,
                **PLACES,
                "end_session_endpoint": None,
                "client_id": "everturn-page",
                "scopes": ["openid", "everturn:metrics"],
                "audience": AUDIENCE,
            },
        }
        page = client.get("/", headers={"accept": BROWSER})
        policy = page.headers["content-security-policy"]
        assert "connect-src 'self' https://tokens.example.org;" in policy
        assert "login.example.org" not in policy  # it is gone to, not asked
        assert len(provider.asked) == 1
        token = {"Authorization": f"Bearer {provider.token()}"}
        assert client.get("/api/chat/sessions", headers=token).status_code == 200
        assert client.get("/api/chat/sessions").status_code == 401


def test_without_a_client_or_a_provider_that_answers_there_are_keys(
    tmp_path: Path, provider: IdentityProvider
) -> None:
    with with_page(tmp_path / "no client", **of_page(provider, auth_client_id=None)) as client:
        assert client.get("/page/config.json").json()["auth"] == {"api_key": True, "oauth": None}
        assert provider.asked == []
    provider.status = 503
    with with_page(tmp_path / "away", **of_page(provider)) as client:
        assert client.get("/page/config.json").json()["auth"] == {"api_key": True, "oauth": None}
        policy = client.get("/", headers={"accept": BROWSER}).headers["content-security-policy"]
        assert "connect-src 'self';" in policy
        assert len(provider.asked) == 1  # not again at once


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        "text",
        {"issuer": "https://another.example.org"},
        {"authorization_endpoint": None},
        {"token_endpoint": None},
        {"token_endpoint": 7},
        {"token_endpoint": "tokens"},
        {"token_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "https://a.example.org;script-src*/t"},
        {"token_endpoint": "https://a.example.org 'unsafe-inline'/t"},
        {"token_endpoint": "https://user@a.example.org/t"},
        {"token_endpoint": "https://ä.example.org/t"},
        {"token_endpoint": "https://*/t"},  # of a policy: every host
        {"token_endpoint": "https://*.example.org/t"},
        {"token_endpoint": "https://a.example.org:*/t"},
        {"token_endpoint": "https://a.example.org\x00/t"},
        {"token_endpoint": "https://[::1/t"},
        {"token_endpoint": "https://a.example.org:443x/t"},
        {"authorization_endpoint": "http://"},
        {"end_session_endpoint": "data:text/html,x"},
        {"code_challenge_methods_supported": ["plain"]},
        {"code_challenge_methods_supported": "S256"},
    ],
)
async def test_what_cannot_be_used_is_not(wrong: Any) -> None:
    said = {"issuer": "http://id.example.org", **PLACES}

    async def fetch(url: str) -> Any:
        assert url == "http://id.example.org/.well-known/openid-configuration"
        return {**said, **wrong} if isinstance(wrong, dict) else wrong

    settings = OAuthSettings(
        auth_issuer="http://id.example.org", auth_audience=["x"], auth_client_id="page"
    )
    assert await SignInAtProvider(settings, fetch).endpoints() is None


async def test_a_provider_of_https_signs_in_by_https() -> None:
    said = {
        **PLACES,
        "token_endpoint": "http://a.example.org/t",
        "issuer": "https://id.example.org/",
    }

    async def fetch(url: str) -> Any:
        return said

    settings = OAuthSettings(
        auth_issuer="https://id.example.org", auth_audience=["x"], auth_client_id="page"
    )
    assert await SignInAtProvider(settings, fetch).endpoints() is None
    said["token_endpoint"] = "https://a.example.org/t"
    found = await SignInAtProvider(settings, fetch).endpoints()
    assert found is not None
    assert found.issuer == "https://id.example.org/"  # as it spells itself


async def test_many_who_come_at_once_ask_once() -> None:
    asked = 0

    async def fetch(url: str) -> Any:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.05)
        return {"issuer": "https://id.example.org", **PLACES}

    settings = OAuthSettings(
        auth_issuer="https://id.example.org", auth_audience=["x"], auth_client_id="page"
    )
    sign_in = SignInAtProvider(settings, fetch)
    found = await asyncio.gather(*(sign_in.endpoints() for _ in range(20)))
    assert asked == 1
    assert all(found)


def test_a_client_needs_an_issuer(provider: IdentityProvider) -> None:
    with pytest.raises(ValidationError, match="EVERTURN_AUTH_ISSUER"):
        settings_of(provider, auth_issuer=None, auth_jwks_url=provider.url, auth_client_id="page")
