"""An identity provider on loopback: discovery, keys that change, and answers that are no use."""

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from everturn.server.access.oauth import open_tokens
from everturn.server.access.oauth_settings import OAuthSettings
from everturn.server.access.tokens import Tokens
from everturn.tools.kit.web import open_web
from everturn.tools.kit.web.settings import WebSettings
from tests.waiting import PATIENCE

AUDIENCE = "everturn"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Json = dict[str, Any]


@cache
def key_of(name: str) -> PrivateKey:
    """A private key for a name, the same each time; its kind is how the name begins."""
    if name.startswith("rsa"):
        return rsa.generate_private_key(65537, 2048)
    if name.startswith("okp"):
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP384R1() if name.startswith("p384") else ec.SECP256R1())


def public(name: str, **more: Any) -> Json:
    """The public key of a name as a JWK, by that `kid`."""
    key = key_of(name)
    if isinstance(key, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        jwk = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {name: each for name, each in {**jwk, "kid": name, **more}.items() if each is not None}


class IdentityProvider:
    """What it says, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: list[Json] = [public("ec-1"), public("rsa-1")]
        self.discovery: Any = {"issuer": url, "jwks_uri": f"{url}/keys?p=1"}
        self.asked: list[str] = []
        self.status = 200
        self.body: bytes | None = None
        """Sent in place of what is asked for."""
        self.answering = Event()
        """Until it is set, no answer is sent."""
        self.answering.set()

    def token(
        self,
        key_id: str = "ec-1",
        headers: Json | None = None,
        algorithm: str | None = None,
        **claims: Any,
    ) -> str:
        """Sign a token; a claim or a header that is None is left out."""
        now = int(time.time())
        said = {"iss": self.url, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 600}
        key = key_of(key_id)
        fit = {rsa.RSAPrivateKey: "RS256", ed25519.Ed25519PrivateKey: "EdDSA"}
        fits = next((fit[kind] for kind in fit if isinstance(key, kind)), "ES256")
        header = {"kid": key_id, **(headers or {})}
        return jwt.encode(
            {name: each for name, each in {**said, **claims}.items() if each is not None},
            key,
            algorithm or fits,
            {name: each for name, each in header.items() if each is not None},
        )

    def answer(self, path: str) -> bytes:
        self.asked.append(path.partition("?")[0])
        if self.body is not None:
            return self.body
        if path == "/.well-known/openid-configuration":
            return json.dumps(self.discovery).encode()
        assert path == "/keys?p=1"  # the query is a part of the address
        return json.dumps({"keys": self.keys}).encode()


@contextmanager
def providing() -> Iterator[IdentityProvider]:
    """Serve one."""
    server = _Server(("127.0.0.1", 0), _Answers)
    provider = server.provider = IdentityProvider(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.answering.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    provider: IdentityProvider


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        provider = self.server.provider
        body = provider.answer(self.path)
        provider.answering.wait()
        self.send_response(provider.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in `http`
        pass


def settings_of(provider: IdentityProvider, **values: Any) -> OAuthSettings:
    """Settings that name a provider."""
    return OAuthSettings(**{"auth_issuer": provider.url, "auth_audience": AUDIENCE, **values})


@asynccontextmanager
async def tokens_of(provider: IdentityProvider, **values: Any) -> AsyncIterator[Tokens]:
    """Take a provider's tokens, by the service's own HTTP."""
    patient = WebSettings(web_timeout=PATIENCE, web_connect_timeout=PATIENCE)
    async with open_web(patient) as web:
        tokens = open_tokens(
            settings_of(provider, **values), partial(web.read, "The identity provider")
        )
        assert isinstance(tokens, Tokens)
        yield tokens


def raw(header: object, payload: object, signature: bytes = b"sig") -> str:
    """Put a token together by hand."""
    return ".".join(_base64(_bytes(part)) for part in (header, payload, signature))


def _bytes(part: object) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part).encode()


def _base64(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def claims_of(token: str) -> Mapping[str, Any]:
    """Read a token's claims, unverified."""
    claims: Json = jwt.decode(token, options={"verify_signature": False})
    return claims
