"""Claims: who a token is of, and what its scopes are here."""

from typing import Any

import pytest

from everturn.server.access.allowance import Allowance, allowance_of
from everturn.server.access.claims import caller_of_claims
from everturn.server.access.credentials import InvalidToken
from everturn.server.access.oauth_settings import OAuthSettings

CLAIMS = {"sub": "ada", "email": "ada@example.org", "realm_access": {"roles": ["boss", 5]}}


def settings(**values: Any) -> OAuthSettings:
    return OAuthSettings(auth_issuer="https://id.example", auth_audience=["everturn"], **values)


@pytest.mark.parametrize(
    ("claims", "values", "permissions"),
    [
        ({}, {}, ["runs"]),
        ({"scope": "everturn:admin"}, {}, ["runs", "admin"]),
        ({"scp": ["everturn:metrics", "x"]}, {}, ["runs", "metrics"]),
        ({"permissions": ["everturn:admin"], "scope": "x"}, {}, ["runs", "admin"]),
        ({"scope": "Everturn:Admin everturn:admins"}, {}, ["runs"]),
        ({"scope": {"everturn:admin": True}, "scp": 5}, {}, ["runs"]),
        ({"scope": "runs admin metrics"}, {}, ["runs"]),
        ({"scope": "x"}, {"auth_runs_scopes": "chat, agent"}, []),
        ({"scope": "x agent"}, {"auth_runs_scopes": "chat, agent"}, ["runs"]),
        ({"scope": "everturn:metrics"}, {"auth_runs_scopes": "chat"}, ["metrics"]),
        (
            {},
            {"auth_scope_claims": "realm_access.roles", "auth_admin_scopes": "boss"},
            ["runs", "admin"],
        ),
        (
            {"https://x.example/roles": ["boss"]},
            {"auth_scope_claims": "https://x.example/roles", "auth_admin_scopes": "boss"},
            ["runs", "admin"],
        ),
        ({}, {"auth_scope_claims": "sub.x.y,nothing.at.all"}, ["runs"]),
    ],
)
def test_scopes_are_permissions_as_the_settings_say(
    claims: dict[str, Any], values: dict[str, Any], permissions: list[str]
) -> None:
    assert caller_of_claims(CLAIMS | claims, settings(**values)).permissions == permissions


def test_another_claim_may_say_who_it_is() -> None:
    by_mail = settings(auth_identity_claim="email")
    assert caller_of_claims(CLAIMS, by_mail).identity == "ada@example.org"
    assert caller_of_claims({**CLAIMS, "email_verified": True}, by_mail).identity
    with pytest.raises(InvalidToken, match="not verified"):
        caller_of_claims({**CLAIMS, "email_verified": False}, by_mail)
    with pytest.raises(InvalidToken, match="claim upn"):
        caller_of_claims(CLAIMS, settings(auth_identity_claim="upn"))


def test_a_claim_may_say_what_a_caller_may() -> None:
    named = settings(auth_limits_claim="app.limits")
    said = {"rate_limit": "60/minute", "max_runs": 4, "identity": "root", "other": 1}
    caller = caller_of_claims({**CLAIMS, "app": {"limits": said}}, named)
    assert caller.identity == "ada"
    assert allowance_of(caller) == Allowance(rate_limit="60/minute", max_runs=4)
    assert "other" not in caller
    assert allowance_of(caller_of_claims(CLAIMS, named)) == Allowance()
    assert allowance_of(caller_of_claims({**CLAIMS, **said}, settings())) == Allowance()
    for wrong, says in (({"max_runs": 0}, "app.limits of the token, max_runs must"), (5, "object")):
        with pytest.raises(InvalidToken, match=says):
            caller_of_claims({**CLAIMS, "app": {"limits": wrong}}, named)
