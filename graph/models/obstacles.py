"""What kept a request from reaching the provider at all: its address, certificate, or a proxy."""

import socket
import ssl
from collections.abc import Iterator
from typing import Literal

_CERTIFICATES: dict[int, str] = {
    # https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/, numbers of x509_vfy.h
    9: "is not valid yet, or this machine's clock is wrong",
    10: "has expired",
    62: "is for another host name",
    64: "is for another address",
    **dict.fromkeys((2, 18, 19, 20, 21), "is signed by an authority that is not trusted here"),
}
_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}
"""OpenSSL's reasons, by version, for an answer that is no TLS."""


Obstacle = Literal["unreachable", "tls_failed", "proxy_failed"]


def obstacle_in(error: Exception) -> tuple[Obstacle, str] | None:
    """Name the obstacle that an error of the client speaks of; `None` where there is none."""
    if type(error).__name__ == "ProxyError":  # httpx2's
        return "proxy_failed", "the proxy on the way to the provider refused"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            flaw = _CERTIFICATES.get(cause.verify_code, "is not accepted")
            return "tls_failed", f"the provider's certificate {flaw}"
        if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
            return "tls_failed", "the provider does not speak TLS, as https:// asks it to"
        if isinstance(cause, socket.gaierror):
            return "unreachable", "there is no host of the provider's name"
        if isinstance(cause, ConnectionRefusedError):
            return "unreachable", "nothing listens at the provider's address"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):  # one for each address of the host
            yield from error.exceptions
        error = error.__cause__ or error.__context__
