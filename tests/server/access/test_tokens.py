"""Tokens of an identity provider: who comes in by one, and how it is attacked."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from structlog.testing import capture_logs

from everturn.server.access.challenge import refused
from everturn.server.access.credentials import InvalidToken
from everturn.server.access.tokens import Tokens
from tests.server.access.identity_provider import (
    AUDIENCE,
    IdentityProvider,
    claims_of,
    key_of,
    providing,
    public,
    raw,
    tokens_of,
)
from tests.waiting import eventually


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with providing() as running:
        yield running


@pytest.fixture
async def tokens(provider: IdentityProvider) -> AsyncIterator[Tokens]:
    async with tokens_of(provider) as opened:
        yield opened


async def refusal(tokens: Tokens, token: str) -> str:
    with capture_logs() as lines, pytest.raises(InvalidToken) as caught:
        await tokens.caller(token)
    said = json.dumps(lines) + str(caught.value)
    for part in token.split("."):
        assert len(part) < 8 or part not in said
    assert not re.search(r"\bada\b", said)  # as a word: it is hexadecimal, too
    return str(caught.value)


@pytest.mark.parametrize("name", ["ec-1", "rsa-1"])
async def test_a_token_says_who_is_asking(
    name: str, provider: IdentityProvider, tokens: Tokens
) -> None:
    token = provider.token(name, name="Ada L.", scope="notes everturn:admin", permissions=["x"])
    caller = await tokens.caller(token)
    assert caller == {
        "identity": "ada",
        "is_authenticated": True,
        "display_name": "Ada L.",
        "permissions": ["runs", "admin"],
        "scopes": ["everturn:admin", "notes", "x"],
    }
    assert await tokens.caller(token) is caller  # known: nothing is verified again


@pytest.mark.parametrize(
    "token", ["", "ada", "evt_1_2", "a.b", "a.b.c.d", "a.b.c.d.e.f", "\xe9.\u2028.\udcff"]
)
async def test_what_is_no_jwt_is_somebody_elses_to_read(token: str, tokens: Tokens) -> None:
    assert await tokens.caller(token) is None


def confused(provider: IdentityProvider) -> str:
    """Signed by HMAC, with the public key, which everybody knows, for a secret."""
    pem = key_of("rsa-1").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = raw({"alg": "HS256", "typ": "JWT", "kid": "rsa-1"}, claims_of(provider.token()))
    head = signed.rpartition(".")[0]
    signature = hmac.new(pem, head.encode(), hashlib.sha256).digest()
    return f"{head}.{raw(b'', b'', signature).rpartition('.')[2]}"


def changed(provider: IdentityProvider) -> str:
    head, _, signature = provider.token().split(".")
    payload = raw(b"", {**claims_of(provider.token()), "sub": "eve"}).split(".")[1]
    return f"{head}.{payload}.{signature}"


def foreign(provider: IdentityProvider, **headers: Any) -> str:
    return provider.token("ec-foreign", {"kid": "ec-1", **headers})


def nested(provider: IdentityProvider) -> str:
    key = key_of("ec-1")
    return jwt.PyJWS().encode(
        provider.token().encode(), key, "ES256", {"kid": "ec-1", "cty": "JWT"}
    )


HOUR = 3600
NOW = time.time()
DEEP = b'{"alg":' + b"[" * 5000 + b"]" * 5000 + b"}"
Make = Callable[[IdentityProvider], str]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(
            lambda p: raw({"alg": "none"}, claims_of(p.token()), b""), "algorithm", id="none"
        ),
        pytest.param(
            lambda p: raw({"alg": "NoNe"}, claims_of(p.token()), b""), "algorithm", id="NoNe"
        ),
        pytest.param(lambda p: raw({}, claims_of(p.token())), "algorithm", id="no alg"),
        pytest.param(lambda p: raw({"alg": ["ES256"]}, {}), "algorithm", id="alg list"),
        pytest.param(confused, "algorithm", id="HS256 with the public key"),
        pytest.param(
            lambda p: p.token("rsa-1", algorithm="RS512"), "algorithm", id="one not in the settings"
        ),
        pytest.param(
            lambda p: foreign(p, kid="rsa-1"), "none of the provider's", id="EC by an RSA key"
        ),
        pytest.param(foreign, "signature", id="foreign key"),
        pytest.param(changed, "signature", id="changed claims"),
        pytest.param(lambda p: p.token().rpartition(".")[0] + ".", "signature", id="no signature"),
        pytest.param(lambda p: foreign(p, jwk=public("ec-foreign")), "signature", id="jwk"),
        pytest.param(lambda p: foreign(p, jku=f"{p.url}/foreign"), "signature", id="jku"),
        pytest.param(lambda p: foreign(p, x5u=f"{p.url}/foreign"), "signature", id="x5u"),
        pytest.param(lambda p: foreign(p, x5c=["MIIB"]), "signature", id="x5c"),
        pytest.param(lambda p: p.token(exp=NOW - HOUR), "expired", id="expired"),
        pytest.param(lambda p: p.token(exp=None), "needs exp", id="no exp"),
        pytest.param(lambda p: p.token(exp="soon"), "can be read", id="exp is text"),
        pytest.param(lambda p: p.token(exp=float("inf")), "can be read", id="exp is infinite"),
        pytest.param(lambda p: p.token(nbf=NOW + HOUR), "not valid yet", id="nbf"),
        pytest.param(lambda p: p.token(iat=NOW + HOUR), "not valid yet", id="iat"),
        pytest.param(lambda p: p.token(iss="https://evil.example"), "issuer", id="iss"),
        pytest.param(lambda p: p.token(iss=p.url + "/"), "issuer", id="iss with a slash"),
        pytest.param(lambda p: p.token(iss=None), "lacks a claim", id="no iss"),
        pytest.param(lambda p: p.token(aud="other"), "another service", id="aud"),
        pytest.param(lambda p: p.token(aud=["a", "b"]), "another service", id="aud list"),
        pytest.param(lambda p: p.token(aud={"everturn": 1}), "another service", id="aud object"),
        pytest.param(lambda p: p.token(aud=None), "lacks a claim", id="no aud"),
        pytest.param(lambda p: p.token(sub=None), "claim sub", id="no sub"),
        pytest.param(lambda p: p.token(sub=""), "claim sub", id="empty sub"),
        pytest.param(lambda p: p.token(sub="ada\x1b[2J"), "characters", id="sub with an escape"),
        pytest.param(lambda p: p.token(sub="a" * 256), "claim sub", id="long sub"),
        pytest.param(lambda p: p.token(headers={"crit": ["x"], "x": 1}), "The token", id="crit"),
        pytest.param(lambda p: p.token(headers={"typ": "logout+jwt"}), "typ", id="typ"),
        pytest.param(lambda p: p.token(headers={"typ": ["JWT"]}), "typ", id="typ object"),
        pytest.param(nested, "can be read", id="nested"),
        pytest.param(lambda _: raw({"alg": "RSA-OAEP"}, b"x") + ".a.b", "encrypted", id="JWE"),
        pytest.param(lambda _: raw(b"not json", {}), "can be read", id="not JSON"),
        pytest.param(lambda _: raw([], {}), "can be read", id="a list"),
        pytest.param(lambda _: raw(DEEP, {}), "can be read", id="deep"),
        pytest.param(lambda _: "!.!.!", "can be read", id="no base64"),
        pytest.param(lambda p: p.token(big="x" * 65_536), "longer than", id="64 kB"),
    ],
)
async def test_an_attack_is_refused_and_nothing_of_it_is_said(
    make: Make, words: str, provider: IdentityProvider, tokens: Tokens
) -> None:
    assert await tokens.caller(provider.token())  # the keys are known
    asked = list(provider.asked)
    assert words in await refusal(tokens, make(provider))
    assert provider.asked == asked


@pytest.mark.parametrize(
    "kid",
    [
        *("../../dev/null", "/dev/null", "' OR 1=1 --", "http://127.0.0.1:1/keys", "x" * 256),
        *("", "EC-1", " ec-1", "ec-1\0"),
    ],
)
async def test_a_kid_is_a_name_and_nothing_else(
    kid: str, provider: IdentityProvider, tokens: Tokens
) -> None:
    words = await refusal(tokens, provider.token(headers={"kid": kid}))
    assert words == "The token is signed by a key that is none of the provider's."


@pytest.mark.parametrize("kid", ["x" * 257, "x" * 8000, 1, {}, ["ec-1"]])
async def test_a_kid_that_is_none_is_not_looked_for(
    kid: object, provider: IdentityProvider, tokens: Tokens
) -> None:
    asked = list(provider.asked)
    token = raw({"alg": "ES256", "kid": kid}, claims_of(provider.token()))
    words = await refusal(tokens, token)
    assert "kid" in words or "can be read" in words
    assert provider.asked == asked


async def test_without_a_kid_the_only_key_that_fits_is_taken(provider: IdentityProvider) -> None:
    with providing() as two:
        two.keys = [public("ec-1", kid=None), public("rsa-1"), public("rsa-2")]
        async with tokens_of(two) as tokens:
            assert await tokens.caller(two.token(headers={"kid": None}))
            words = await refusal(tokens, two.token("rsa-1", headers={"kid": None}))
            assert "none of the provider's" in words


async def test_a_key_verifies_what_it_is_for_and_nothing_else() -> None:
    with providing() as odd:
        odd.keys = [
            public("ec-1", alg="ES256", use="sig", key_ops=["verify"]),
            public("ec-2", use="enc"),
            public("ec-3", key_ops=["sign"]),
            public("ec-4", alg="ES384"),
            public("rsa-1", alg="PS256"),
            {"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"},
            {"kty": "EC", "crv": "P-256", "kid": "broken", "x": "!", "y": "!"},
            {"kty": "RSA", "kid": ["odd"]},
            {"kty": {}, "crv": {}, "alg": {}},
            {**public("ec-5"), "d": "published"},
        ]
        async with tokens_of(odd, auth_algorithms="ES256,PS256,RS256") as tokens:
            assert await tokens.caller(odd.token())
            assert await tokens.caller(odd.token("rsa-1", algorithm="PS256"))
            for token in (*map(odd.token, ("ec-2", "ec-3", "ec-4", "ec-5", "rsa-1")),):
                assert "none of the provider's" in await refusal(tokens, token)


async def test_other_kinds_of_keys() -> None:
    with providing() as other:
        other.keys = [public("okp-1"), public("p384-1")]
        async with tokens_of(other, auth_algorithms="EdDSA, ES384") as tokens:
            assert await tokens.caller(other.token("okp-1"))
            assert await tokens.caller(other.token("p384-1", algorithm="ES384"))


@pytest.mark.parametrize("exp", [-30, 30])
async def test_clocks_may_differ_a_little(
    exp: int, provider: IdentityProvider, tokens: Tokens
) -> None:
    now = time.time()
    assert await tokens.caller(provider.token(exp=now + exp, nbf=now + 30, iat=now + 30))
    async with tokens_of(provider, auth_clock_skew=0) as strict:
        with pytest.raises(InvalidToken):
            await strict.caller(provider.token(exp=now - 1, nbf=now - 2, iat=now - 2))


async def test_an_audience_may_be_one_of_several(provider: IdentityProvider) -> None:
    async with tokens_of(provider, auth_audience="api://a, everturn") as tokens:
        for aud in (AUDIENCE, "api://a", ["x", AUDIENCE]):
            assert await tokens.caller(provider.token(aud=aud))


@pytest.mark.clock
async def test_a_token_is_known_until_it_expires_and_no_longer(provider: IdentityProvider) -> None:
    async with tokens_of(provider, auth_clock_skew=0) as tokens:
        token = provider.token(exp=int(time.time()) + 2)
        assert await tokens.caller(token)
        await eventually(lambda: time.time() >= claims_of(token)["exp"])
        assert "expired" in await refusal(tokens, token)


@pytest.mark.parametrize("exp", [10**400, "99999999999", 9e9], ids=["huge", "text", "float"])
async def test_however_its_end_is_written(
    exp: object, provider: IdentityProvider, tokens: Tokens
) -> None:
    token = provider.token(exp=exp)
    assert await tokens.caller(token) is await tokens.caller(token)


async def test_so_many_tokens_are_known(
    provider: IdentityProvider, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everturn.server.access.tokens.MAX_KNOWN", 2)
    made = [provider.token(sub=name) for name in "abc"]
    callers = [await tokens.caller(token) for token in made]
    assert await tokens.caller(made[2]) is callers[2]
    assert await tokens.caller(made[0]) is not callers[0]


async def test_a_refusal_says_so_as_rfc_6750_does(
    provider: IdentityProvider, tokens: Tokens
) -> None:
    error = refused(InvalidToken(await refusal(tokens, provider.token(aud="other"))))
    assert error.status_code == 401
    assert error.headers == {
        "WWW-Authenticate": 'Bearer error="invalid_token", error_description='
        '"The token is for another service: its aud is not this one\'s."'
    }
    odd = refused(InvalidToken('say "no"\r\nSet-Cookie: a\\é')).headers
    assert odd is not None
    assert odd["WWW-Authenticate"].endswith("\"say 'no'''Set-Cookie: a''\"")
