"""A provider's keys: changed, slow, broken and away."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph_sdk.auth.exceptions import HTTPException

from everturn.server.access import signing_keys
from everturn.server.access.credentials import InvalidToken
from tests.server.access.identity_provider import IdentityProvider, providing, public, tokens_of
from tests.waiting import eventually

BOTH = ["/.well-known/openid-configuration", "/keys"]


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with providing() as running:
        yield running


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_keys, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_keys, "PAUSE_SECONDS", 1e6)


async def test_nothing_is_asked_before_a_token_comes(provider: IdentityProvider) -> None:
    async with tokens_of(provider) as tokens:
        assert await tokens.caller("opaque") is None
        assert provider.asked == []
        assert await tokens.caller(provider.token())
        assert provider.asked == BOTH


@pytest.mark.usefixtures("no_pause")
async def test_a_new_key_is_found_and_what_the_old_one_verified_is_forgotten(
    provider: IdentityProvider,
) -> None:
    async with tokens_of(provider) as tokens:
        old = provider.token("ec-1")
        assert await tokens.caller(old)
        provider.keys = [public("ec-2")]
        assert await tokens.caller(provider.token("ec-2"))
        with pytest.raises(InvalidToken, match="none of the provider's"):
            await tokens.caller(old)


@pytest.mark.usefixtures("long_pause")
async def test_invented_kids_have_the_provider_asked_once(provider: IdentityProvider) -> None:
    provider.answering.clear()
    async with tokens_of(provider) as tokens:

        async def attack(number: int) -> None:
            with pytest.raises(InvalidToken):
                await tokens.caller(provider.token(headers={"kid": f"k{number}"}))

        attacks = asyncio.gather(*(attack(number) for number in range(50)))
        await eventually(lambda: provider.asked)
        provider.answering.set()
        await attacks
        await asyncio.gather(*(attack(number) for number in range(50, 100)))
        assert provider.asked == BOTH
        assert await tokens.caller(provider.token())


@pytest.mark.usefixtures("no_pause")
async def test_a_slow_provider_keeps_no_known_key_waiting(provider: IdentityProvider) -> None:
    async with tokens_of(provider) as tokens:
        await tokens.caller(provider.token())
        provider.answering.clear()
        unknown = asyncio.create_task(tokens.caller(provider.token("ec-2")))
        await eventually(lambda: len(provider.asked) == 3)
        assert await tokens.caller(provider.token(sub="bob"))
        assert not unknown.done()
        provider.keys = [public("ec-2")]
        provider.answering.set()
        assert await unknown


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(
    "wrong",
    [
        {"status": 500},
        {"body": b"<html>"},
        {"body": b"[]"},
        {"body": b"x" * 2_000_001},
        {"keys": []},
        {"keys": [{"kty": "oct", "k": "c2VjcmV0"}, "x", None]},
        {"keys": {"kid": "ec-1"}},
        {"discovery": {"issuer": "https://evil.example", "jwks_uri": "http://127.0.0.1:1/"}},
        {"discovery": {"jwks_uri": "http://127.0.0.1:1/"}},
        {"discovery": None},
    ],
)
async def test_a_broken_answer_takes_no_key_away_and_the_next_one_is_read(
    wrong: dict[str, Any], provider: IdentityProvider
) -> None:
    async with tokens_of(provider) as tokens:
        right = {name: getattr(provider, name) for name in wrong}
        vars(provider).update(wrong)
        with pytest.raises(HTTPException) as caught:
            await tokens.caller(provider.token())
        assert caught.value.status_code == 503
        assert caught.value.headers == {"Retry-After": "10"}
        vars(provider).update(right)
        assert await tokens.caller(provider.token())
        vars(provider).update(wrong)
        with pytest.raises(HTTPException):
            await tokens.caller(provider.token("ec-2"))
        assert await tokens.caller(provider.token(sub="bob"))


@pytest.mark.parametrize("keys", ["file:///etc/passwd", "/keys", 5, None, "ftp://127.0.0.1/"])
async def test_keys_come_by_http(keys: object, provider: IdentityProvider) -> None:
    provider.discovery["jwks_uri"] = keys
    async with tokens_of(provider) as tokens:
        with pytest.raises(HTTPException):
            await tokens.caller(provider.token())
    assert provider.asked == BOTH[:1]


def test_keys_of_a_provider_with_tls_come_by_tls() -> None:
    document = {"issuer": "https://id.example", "jwks_uri": "http://id.example/keys"}
    with pytest.raises(ValueError, match="jwks_uri"):
        signing_keys._described("https://id.example", document)


async def test_a_provider_that_was_never_there_is_a_503() -> None:
    with providing() as gone:
        pass
    async with tokens_of(gone) as tokens:
        with pytest.raises(HTTPException) as caught:
            await tokens.caller(gone.token())
        assert caught.value.status_code == 503
        assert await tokens.caller("opaque") is None


@pytest.mark.usefixtures("no_pause")
async def test_old_keys_are_read_anew_while_they_serve(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "_OLD_SECONDS", 0.0)
    async with tokens_of(provider) as tokens:
        token = provider.token()
        await tokens.caller(token)
        provider.status = 500
        await tokens.caller(token)
        await eventually(lambda: len(provider.asked) > 2)
        assert await tokens.caller(token)  # those that are known still serve
        provider.status, provider.keys = 200, [public("ec-2")]

        async def gone() -> bool:
            try:
                await tokens.caller(token)
            except InvalidToken:
                return True
            return False

        await eventually(gone)


async def test_an_issuer_may_be_written_with_a_slash_or_without(provider: IdentityProvider) -> None:
    provider.discovery["issuer"] = f"{provider.url}/"
    async with tokens_of(provider) as tokens:
        assert await tokens.caller(provider.token(iss=f"{provider.url}/"))
        with pytest.raises(InvalidToken, match="issuer"):
            await tokens.caller(provider.token())


async def test_the_address_of_the_keys_will_do(provider: IdentityProvider) -> None:
    keys = f"{provider.url}/keys?p=1"
    async with tokens_of(provider, auth_issuer=None, auth_jwks_url=keys) as tokens:
        assert await tokens.caller(provider.token(iss=None))
        assert await tokens.caller(provider.token(iss="https://any.example"))
    async with tokens_of(provider, auth_jwks_url=keys) as tokens:
        assert await tokens.caller(provider.token())
        with pytest.raises(InvalidToken, match="issuer"):
            await tokens.caller(provider.token(iss="https://any.example"))
    assert set(provider.asked) == {"/keys"}


def test_a_short_rsa_key_is_passed_over() -> None:
    short = json.loads(
        '{"kty":"RSA","kid":"s","e":"AQAB","n":"'
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_B"
        'JECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_F"}'
    )
    with pytest.raises(ValueError, match="no key that can be used"):
        signing_keys.usable_keys({"keys": [short]})
