"""Who a token is of, and what they may do: its claims, as the settings read them."""

from collections.abc import Mapping
from typing import Any

from everturn.server.access.allowance import InvalidAllowance, read_allowance
from everturn.server.access.caller import Caller
from everturn.server.access.credentials import InvalidToken
from everturn.server.access.oauth_settings import OAuthSettings

_MAX_IDENTITY = 255
_NAMES = ("name", "preferred_username")


def caller_of_claims(claims: Mapping[str, Any], settings: OAuthSettings) -> Caller:
    """Return the caller: who it is, the permissions here, and all `scopes` of the token.

    Raises:
        InvalidToken: the claims name nobody, or limits that cannot be read.
    """
    claim = settings.auth_identity_claim
    identity = _claim(claims, claim)
    if not isinstance(identity, str) or not 0 < len(identity) <= _MAX_IDENTITY:
        raise InvalidToken(f"The token does not say who has it: it needs the claim {claim}.")
    if not identity.isprintable():
        raise InvalidToken(f"The claim {claim} of the token has characters that no name has.")
    # Whoever may write any address into a profile would be whoever has it.
    if claim == "email" and claims.get("email_verified") not in [None, True, "true"]:
        raise InvalidToken("The token's e-mail address is not verified.")
    scopes = sorted(_scopes(claims, settings))
    names = (claims.get(each) for each in _NAMES)
    return Caller(
        {
            "identity": identity,
            "display_name": next((name for name in names if isinstance(name, str)), None),
            "permissions": _permissions(set(scopes), settings),
            "scopes": scopes,
            **_limits(claims, settings.auth_limits_claim),
        }
    )


def _limits(claims: Mapping[str, Any], claim: str | None) -> Mapping[str, Any]:
    said = None if claim is None else _claim(claims, claim)
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        raise InvalidToken(f"The claim {claim} of the token must be an object of limits.")
    try:
        return read_allowance(said).named
    except InvalidAllowance as error:
        raise InvalidToken(f"In the claim {claim} of the token, {error}.") from None


def _permissions(scopes: set[str], settings: OAuthSettings) -> list[str]:
    runs = settings.auth_runs_scopes
    held = {
        "runs": not runs or not scopes.isdisjoint(runs),
        "admin": not scopes.isdisjoint(settings.auth_admin_scopes),
        "metrics": not scopes.isdisjoint(settings.auth_metrics_scopes),
    }
    return [permission for permission, yes in held.items() if yes]


def _scopes(claims: Mapping[str, Any], settings: OAuthSettings) -> set[str]:
    found = set[str]()
    for claim in settings.auth_scope_claims:
        value = _claim(claims, claim)
        listed = value.split() if isinstance(value, str) else value
        if isinstance(listed, list):
            found.update(each for each in listed if isinstance(each, str))
    return found


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, which may itself have dots, or by the way to it."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
