"""Our own `auth`: where a token is looked for, and who is asked about it."""

import pytest
from langgraph_sdk.auth.exceptions import HTTPException

from everturn.server.access.caller import Caller
from everturn.server.access.credentials import InvalidToken
from everturn.server.projects.own_auth import own_auth


class Kind:
    """Tokens that begin so; those that go on with a minus are expired."""

    def __init__(self, beginning: str) -> None:
        self.beginning = beginning

    async def caller(self, token: str) -> Caller | None:
        if not token.startswith(self.beginning):
            return None
        if token.startswith(f"{self.beginning}-"):
            raise InvalidToken("It has expired.")
        return Caller({"identity": token})


AUTH = own_auth([Kind("a"), Kind("b")], {}, lambda _: "runs")


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "who"),
    [
        ("Bearer a1", None, "a1"),
        ("bearer  b1", None, "b1"),
        (None, "a1", "a1"),
        ("Bearer a1", "lsv2_of_another_service", "a1"),
        ("Bearer a1", "b1", "a1"),
        ("Basic eDp5", "b1", "b1"),  # of a proxy before the service
        ("Bearer", "b1", "b1"),
    ],
)
async def test_a_token_comes_in_either_header(
    authorization: str | None, x_api_key: str | None, who: str
) -> None:
    assert (await AUTH.authenticate(headers=sent(authorization, x_api_key))).identity == who


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "says", "challenge"),
    [
        (None, None, "Say who you are", None),
        ("Basic eDp5", "", "Say who you are", None),
        ("Bearer a-1", None, "It has expired.", 'Bearer error="invalid_token"'),
        ("Bearer c1", "a1", "No one here knows", 'Bearer error="invalid_token"'),
        ("Bearer \xe4", None, "No one here knows", 'Bearer error="invalid_token"'),
    ],
)
async def test_others_are_told_what_to_send(
    authorization: str | None, x_api_key: str | None, says: str, challenge: str | None
) -> None:
    with pytest.raises(HTTPException) as refused:
        await AUTH.authenticate(headers=sent(authorization, x_api_key))
    assert refused.value.status_code == 401
    assert says in refused.value.detail
    said = (refused.value.headers or {}).get("WWW-Authenticate")
    assert said == challenge or (challenge and said and said.startswith(f"{challenge}, error_desc"))


def sent(authorization: str | None, x_api_key: str | None) -> dict[bytes, bytes]:
    named = {b"authorization": authorization, b"x-api-key": x_api_key}
    return {name: value.encode("latin-1") for name, value in named.items() if value is not None}
