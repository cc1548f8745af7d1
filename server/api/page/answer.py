"""How a file is answered: with what browsers may do with it, for how long, and in which form."""

from collections.abc import Mapping
from zlib import crc32

from fastapi import Request, Response
from starlette.status import HTTP_304_NOT_MODIFIED

from everturn.server.api.page.accept import takes_gzip
from everturn.server.api.page.files import File

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


def policy(signs_in_at: str | None) -> str:
    """Return the page's content policy; `signs_in_at` is the origin of an identity provider.

    All of it comes from the service, nothing that stands in the text of a page is executed, and
    no other page shows it in a frame. Pictures in messages may stand in their addresses (`data:`).
    """
    connect = "'self'" if signs_in_at is None else f"'self' {signs_in_at}"
    return (
        f"default-src 'self'; img-src 'self' data:; connect-src {connect}; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def answer(request: Request, file: File, own_policy: str, vary: str = "") -> Response:
    """Send a file, or say that the client has it already.

    Args:
        request: what is answered.
        file: what is sent.
        own_policy: the content policy.
        vary: the names of headers, beside Accept-Encoding, that the answer depends on.
    """
    gzipped = file.gzipped if takes_gzip(request.headers.get("accept-encoding", "")) else None
    # A browser that is told 304 keeps the headers it has: another policy is another answer.
    tag = f'"{file.tag}-{crc32(own_policy.encode()):x}{"" if gzipped is None else "-gzip"}"'
    headers: dict[str, str] = {
        "Content-Security-Policy": own_policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": _FOR_EVER if file.immutable else _ASK_AGAIN,
        "ETag": tag,
        "Vary": f"{vary}, Accept-Encoding" if vary else "Accept-Encoding",
    }
    if _knows(request.headers, tag):
        return Response(status_code=HTTP_304_NOT_MODIFIED, headers=headers)
    if gzipped is not None:
        headers["Content-Encoding"] = "gzip"
    return Response(
        file.plain if gzipped is None else gzipped, media_type=file.media_type, headers=headers
    )


def _knows(headers: Mapping[str, str], tag: str) -> bool:
    """Say whether a client has what a tag names: `If-None-Match`, RFC 9110, section 13.1.2."""
    said = [each.strip().removeprefix("W/") for each in headers.get("if-none-match", "").split(",")]
    return tag in said or "*" in said
