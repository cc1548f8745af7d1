"""Tokens of an identity provider at the front: who comes in, and what the others are told."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from everturn.server.access.challenge import refused
from everturn.server.access.credentials import InvalidToken
from everturn.server.projects.auth import ProjectAuth
from tests.server.access.identity_provider import IdentityProvider, providing, tokens_of
from tests.server.api.http.test_authentication import called


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with providing() as running:
        yield running


@pytest.fixture
async def auth(provider: IdentityProvider) -> AsyncIterator[ProjectAuth]:
    async with tokens_of(provider) as tokens:

        async def authenticate(authorization: str | None) -> object:
            try:
                return await tokens.caller((authorization or "").removeprefix("Bearer "))
            except InvalidToken as error:
                raise refused(error) from None

        yield ProjectAuth(authenticate=authenticate, takes=frozenset({"authorization"}))


async def asked(auth: ProjectAuth, token: str) -> tuple[int, dict[str, str], Any]:
    """Return the status, the headers and the problem; or who came in, with status 200."""
    headers = [(b"authorization", f"Bearer {token}".encode())]
    sent, callers = await called(auth, {"type": "http", "method": "GET", "headers": headers})
    if callers:
        return 200, {}, callers[0]
    said = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], said, json.loads(sent[1]["body"])


async def test_who_has_a_token_comes_in(auth: ProjectAuth, provider: IdentityProvider) -> None:
    status, _, caller = await asked(auth, provider.token())
    assert (status, caller.identity, caller.permissions) == (200, "ada", ["runs"])


async def test_a_refusal_names_the_reason_and_how_to_sign_in(
    auth: ProjectAuth, provider: IdentityProvider
) -> None:
    status, headers, problem = await asked(auth, provider.token(aud="other"))
    assert status == 401
    assert headers["www-authenticate"].startswith('Bearer error="invalid_token", error_desc')
    assert problem["detail"] == "The token is for another service: its aud is not this one's."
    status, headers, _ = await asked(auth, "opaque")
    assert (status, headers["www-authenticate"]) == (401, "Bearer")


async def test_a_provider_that_is_away_is_no_fault_of_the_caller(
    auth: ProjectAuth, provider: IdentityProvider
) -> None:
    provider.status = 503
    status, headers, problem = await asked(auth, provider.token())
    assert (status, headers["retry-after"]) == (503, "10")
    assert "come back" in problem["detail"]
    assert "www-authenticate" not in headers
