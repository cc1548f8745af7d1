"""Settings of an identity provider: what is refused, and what is not installed."""

import importlib.util
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from everturn.server.access.oauth import open_tokens, security_schemes
from everturn.server.access.oauth_settings import OAuthSettings
from tests.service import ROOT

NAMED: dict[str, Any] = {"auth_issuer": "https://id.example/realms/a/", "auth_audience": "everturn"}


async def unasked(url: str) -> Any:
    raise AssertionError(url)


def test_without_a_provider_there_are_no_tokens() -> None:
    assert open_tokens(OAuthSettings(), unasked) is None
    assert security_schemes(OAuthSettings()) == {}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"auth_issuer": "https://id.example"}, "no EVERTURN_AUTH_AUDIENCE"),
        ({"auth_audience": "everturn"}, "set EVERTURN_AUTH_ISSUER"),
        ({"auth_issuer": "id.example"}, "auth_issuer"),
        ({"auth_issuer": "https://user:secret@id.example"}, "auth_issuer"),
        ({**NAMED, "auth_algorithms": "none"}, "auth_algorithms"),
        ({**NAMED, "auth_algorithms": "RS256,HS256"}, "auth_algorithms"),
        ({**NAMED, "auth_algorithms": ","}, "auth_algorithms"),
        ({**NAMED, "auth_clock_skew": -1}, "auth_clock_skew"),
    ],
)
def test_what_would_let_in_too_many_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        OAuthSettings(**values)


def test_what_is_not_installed_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "everturn.server.access.oauth_settings.find_spec",
        lambda name: None if name == "jwt" else found(name),
    )
    assert OAuthSettings().auth_issuer is None
    with pytest.raises(ValidationError, match=r"pip install 'everturn\[oauth\]'"):
        OAuthSettings(**NAMED)


def test_who_has_no_provider_loads_no_cryptography() -> None:
    code = (
        "import sys\n"
        "from everturn.server.access.oauth import open_tokens\n"
        "from everturn.server.access.oauth_settings import OAuthSettings\n"
        "assert open_tokens(OAuthSettings(), None) is None\n"
        "assert not {'jwt', 'cryptography'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_openapi_says_where_to_sign_in() -> None:
    url = "https://id.example/realms/a/.well-known/openid-configuration"
    described = security_schemes(OAuthSettings(**NAMED))
    assert described == {"oauth": {"type": "openIdConnect", "openIdConnectUrl": url}}
    keys: dict[str, Any] = {"auth_jwks_url": "https://id.example/keys", "auth_audience": "everturn"}
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    assert security_schemes(OAuthSettings(**keys)) == {"oauth": bearer}
