"""The way to the provider: whose certificates are trusted, and which proxy stands between.

Both come from the variables that every HTTP client knows: SSL_CERT_FILE and SSL_CERT_DIR, and
HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY. Only the proxy that leads to the provider counts:
a wrong proxy for other addresses does not keep a model on this machine from being asked.
"""

import os
import ssl
from functools import cache
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    import httpx2

_PROXY_SCHEMES = {"http", "https", "socks5", "socks5h"}


class WrongTransport(Exception):
    """A certificate file or a proxy cannot be used; the text names its variable."""


def endpoint(base_url: str, path: str) -> str:
    """Return the URL of a path below a provider's, with its query: Azure's has `api-version`."""
    base = urlsplit(base_url)
    return base._replace(path=f"{base.path.rstrip('/')}/{path}").geturl()


def open_client(url: str, timeout: "httpx2.Timeout") -> "httpx2.AsyncClient":
    """Make the HTTP client for a provider at this URL.

    Raises:
        WrongTransport: its proxy, or a file of certificates, cannot be used; says what to do.
    """
    import httpx2
    import openai

    from everturn.graph.models.aiohttp_transport import AiohttpTransport

    proxy = proxy_for(url)
    trusted, certificates = trusted_certificates(), certificates_for_providers()
    if proxy is None:
        return openai.DefaultAsyncHttpxClient(
            timeout=timeout, trust_env=False, transport=AiohttpTransport(certificates)
        )
    return openai.DefaultAsyncHttpxClient(
        timeout=timeout,
        trust_env=False,  # read here, and only what leads to this provider
        verify=certificates,
        proxy=httpx2.Proxy(proxy, ssl_context=trusted if proxy.startswith("https:") else None),
    )


def check_transport(url: str | None) -> None:
    """Check all that leads to a provider at this URL, where there is one, without making it.

    Raises:
        WrongTransport: it cannot be used; says what to do.
    """
    trusted_certificates()
    if url is not None:
        proxy_for(url)


def certificates_for_providers() -> ssl.SSLContext:
    """Return what a provider's certificate is checked by: what is trusted, or the system's.

    Raises:
        WrongTransport: SSL_CERT_FILE or SSL_CERT_DIR holds no certificates.
    """
    return trusted_certificates() or _system_certificates()


def trusted_certificates() -> ssl.SSLContext | None:
    """Trust what SSL_CERT_FILE and SSL_CERT_DIR hold; `None` where neither is set.

    Raises:
        WrongTransport: one of them holds no certificates.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    return _trusting(file or None, folder or None) if file or folder else None


@cache  # the system's file takes 30 ms to read
def _system_certificates() -> ssl.SSLContext:
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)


@cache
def _trusting(file: str | None, folder: str | None) -> ssl.SSLContext:
    if folder and not any(_has_certificates(Path(each)) for each in folder.split(os.pathsep)):
        raise WrongTransport(
            f"SSL_CERT_DIR: {folder!r} holds no certificate that OpenSSL finds: name a folder of "
            "PEM files and run `openssl rehash` on it, or unset the variable"
        )
    try:
        return ssl.create_default_context(cafile=file, capath=folder)
    except OSError as error:  # ssl.SSLError is one: no certificate in it
        reason = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise WrongTransport(
            f"SSL_CERT_FILE: {file!r} cannot be used ({reason}): "
            "name a file of certificates in PEM form, or unset the variable"
        ) from None


def proxy_for(url: str) -> str | None:
    """Return the proxy on the way to a URL; `None` where there is none.

    Raises:
        WrongTransport: it is no URL of a proxy, or needs a package that is not installed.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    scheme = next((each for each in (parts.scheme, "all") if proxies.get(each)), None)
    if scheme is None or _goes_direct(parts.hostname or "", parts.port, proxies.get("no", "")):
        return None
    proxy = proxies[scheme] if "://" in proxies[scheme] else f"http://{proxies[scheme]}"
    _check_proxy(proxy, f"{scheme.upper()}_PROXY")
    return proxy


def _check_proxy(proxy: str, variable: str) -> None:
    """Refuse what the client would refuse at the first call; the URL may hold a password."""
    import httpx2

    try:
        parsed = httpx2.URL(proxy)
    except (httpx2.InvalidURL, ValueError) as error:
        raise WrongTransport(f"{variable}: is no URL of a proxy: http://host:port") from error
    if parsed.scheme not in _PROXY_SCHEMES or not parsed.host:
        known = ", ".join(sorted(_PROXY_SCHEMES))
        raise WrongTransport(
            f"{variable}: is no URL of a proxy: write scheme://host:port, with one of {known}"
        )
    if parsed.scheme.startswith("socks") and find_spec("socksio") is None:
        raise WrongTransport(
            f"{variable}: a SOCKS proxy needs one more package: pip install socksio "
            "(in a clone: .venv/bin/pip install socksio)"
        )


def _goes_direct(host: str, port: int | None, no_proxy: str) -> bool:
    """Whether NO_PROXY, or on Windows and macOS the system, excepts a host.

    Hosts and domains as curl reads them, networks and `host:port` as Go does
    (https://pkg.go.dev/golang.org/x/net/http/httpproxy); `*` is every host.
    """
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return any(_excepts(entry, host.lower(), port) for entry in entries if entry) or bool(
        proxy_bypass(host)
    )


def _excepts(entry: str, host: str, port: int | None) -> bool:
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal() and ":" not in name.strip("[]"):
        return number == str(port) and _excepts(name, host, port)
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        domain = entry.removeprefix("*").lstrip(".")
        return entry == "*" or host == domain or host.endswith(f".{domain}")


def _has_certificates(folder: Path) -> bool:
    """OpenSSL finds a certificate by the hash of its name: 1a2b3c4d.0 (openssl-rehash(1))."""
    try:
        return any(
            file.suffix[1:].isdecimal() and len(file.stem) == len("1a2b3c4d")
            for file in folder.iterdir()
        )
    except OSError:
        return False
