"""The way to a provider: authorities of one's own, certificates that are wrong, proxies."""

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import HttpUrl, SecretStr

from everturn.graph.models.advice import explained
from everturn.graph.models.failures import CallFailed, Failure
from everturn.graph.models.provider import open_models
from everturn.graph.models.transport import (
    WrongTransport,
    endpoint,
    proxy_for,
    trusted_certificates,
)
from tests.certificates import Authority
from tests.graph.conftest import BareModelSettings
from tests.provider import FakeProvider
from tests.provider.between import ForwardProxy, TlsFront, running
from tests.provider.offer import Offer


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextmanager
def secured(provider: FakeProvider, certificate: Path) -> Iterator[str]:
    """The provider behind TLS; yields its URL."""
    front = TlsFront(urlsplit(provider.url).port or 0, certificate)
    with running(front):
        yield front.url


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://x/v1", "http://x/v1/models"),
        ("http://x/v1/", "http://x/v1/models"),
        ("https://x", "https://x/models"),
        (
            "https://x/openai/v1?api-version=preview",
            "https://x/openai/v1/models?api-version=preview",
        ),
    ],
)
def test_a_path_below_a_base_url_that_may_have_a_query(base: str, url: str) -> None:
    assert endpoint(base, "models") == url


async def listed(url: str) -> int:
    """How many models a provider lists, asked as the service asks."""
    settings = BareModelSettings(
        base_url=HttpUrl(url), openai_api_key=SecretStr("sk-test"), models=["m"]
    )
    async with open_models(settings) as models:
        return await models.refresh()


async def failure(url: str) -> Failure:
    with pytest.raises(CallFailed) as failed:
        await listed(url)
    return failed.value.failure


async def test_an_authority_of_ones_own(
    authority: Authority,
    fake_provider: FakeProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_provider.offer(Offer("m"))
    folder = tmp_path / "trusted"
    folder.mkdir()
    with secured(fake_provider, authority.sign("127.0.0.1")) as url:
        said = await failure(url)
        assert (said.kind, said.message) == (
            "tls_failed",
            "the provider's certificate is signed by an authority that is not trusted here",
        )
        assert "SSL_CERT_FILE" in explained(said)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert await listed(url) == 1
        monkeypatch.delenv("SSL_CERT_FILE")
        monkeypatch.setenv("SSL_CERT_DIR", str(folder))
        with pytest.raises(WrongTransport, match="openssl rehash"):
            await listed(url)
        (folder / f"{_subject_hash(authority.file)}.0").symlink_to(authority.file)
        assert await listed(url) == 1


def _subject_hash(certificate: Path) -> str:
    command = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificate)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("host", "days", "says"),
    [
        ("127.0.0.1", -1, "has expired"),
        ("127.0.0.1", 60, "is not valid yet"),
        ("127.0.0.2", 1, "is for another address"),
        ("elsewhere.example", 1, "is for another address"),
    ],
)
async def test_a_wrong_certificate_is_named_as_such(
    host: str,
    days: int,
    says: str,
    authority: Authority,
    fake_provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with secured(fake_provider, authority.sign(host, ends=timedelta(days=days))) as url:
        said = await failure(url)
    assert said.kind == "tls_failed"
    assert f"the provider's certificate {says}" in said.message
    assert "EVERTURN_BASE_URL" in explained(said)


async def test_a_certificate_of_another_name(
    authority: Authority, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with secured(fake_provider, authority.sign("elsewhere.example")) as url:
        said = await failure(url.replace("127.0.0.1", "localhost"))
    assert "is for another host name" in said.message


async def test_a_provider_without_tls_is_not_taken_for_one_out_of_reach(
    fake_provider: FakeProvider,
) -> None:
    said = await failure(fake_provider.url.replace("http:", "https:"))
    assert (said.kind, said.message) == (
        "tls_failed",
        "the provider does not speak TLS, as https:// asks it to",
    )


@pytest.mark.parametrize("content", [None, b"", b"no certificate", "folder"])
def test_a_file_of_certificates_that_is_none(
    content: bytes | str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "certificates.pem"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        file.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(WrongTransport, match=r"SSL_CERT_FILE: '.*certificates.pem' cannot be used"):
        trusted_certificates()


def test_both_kinds_of_trust_count(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "12345678.0").symlink_to(authority.file)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    trusted = trusted_certificates()
    assert trusted
    assert len(trusted.get_ca_certs()) == 1
    assert trusted.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
async def test_a_proxy_is_asked(
    variable: str, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_provider.offer(Offer("m"))
    proxy = ForwardProxy()
    monkeypatch.setenv(variable, proxy.url)
    with running(proxy):
        assert await listed(fake_provider.url) == 1
        assert proxy.asked == [f"GET {fake_provider.url}/models"]
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        assert await listed(fake_provider.url) == 1
        assert len(proxy.asked) == 1


async def test_tls_goes_through_a_tunnel(
    authority: Authority, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_provider.offer(Offer("m"))
    proxy = ForwardProxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.removeprefix("http://"))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with running(proxy), secured(fake_provider, authority.sign("127.0.0.1")) as url:
        assert await listed(url) == 1
        assert proxy.asked == [f"CONNECT {urlsplit(url).netloc}"]


async def test_a_proxy_that_refuses_is_named(
    authority: Authority, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = ForwardProxy(b"407 Proxy Authentication Required")
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    with running(proxy):
        for url in (fake_provider.url, "https://provider.example/v1"):
            monkeypatch.setattr(
                "everturn.graph.models.provider.ALLOW_NETWORK_MODELS", True
            )  # no further
            said = await failure(url)
            assert said.kind == "proxy_failed"
            assert "407" in explained(said)
            assert "HTTPS_PROXY" in explained(said)


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("socks5://127.0.0.1:1", "pip install socksio"),
        ("socks5h://127.0.0.1:1", "pip install socksio"),
        ("socks://127.0.0.1:1", "with one of http, https, socks5, socks5h"),
        ("http://me:hunter2@host:port", "is no URL of a proxy"),
        ("http://", "is no URL of a proxy"),
        ("hunter2://host", "is no URL of a proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_in_one_line(
    proxy: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everturn.graph.models.transport.find_spec", lambda _: None)
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(WrongTransport) as refused:
        proxy_for("https://provider.example/v1")
    assert str(refused.value).startswith("ALL_PROXY: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "excepted",
    [
        "*",
        "provider.example",
        "PROVIDER.example",
        ".example",
        "*.example",
        "other, provider.example:8443",
        "example",
    ],
)
def test_what_no_proxy_excepts_is_asked_directly(
    excepted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then a proxy that cannot be used, such as a desktop's `socks://`, does not matter."""
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert proxy_for("https://provider.example:8443/v1") is None


@pytest.mark.parametrize(
    ("excepted", "host"),
    [
        ("provider.example:443", "provider.example"),
        ("vider.example", "provider.example"),
        ("127.0.0.0/8", "10.0.0.1"),
        ("::1", "[::2]"),
    ],
)
def test_what_it_does_not_except(excepted: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert proxy_for(f"https://{host}:8443/v1") == "http://proxy:3128"
    assert proxy_for(f"http://{host}:8443/v1") is None  # of another scheme
