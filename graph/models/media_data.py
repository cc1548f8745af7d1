"""The data of a picture or a file: base64, data URLs, web addresses, and what the bytes are."""

import binascii
from urllib.parse import urlsplit

_URL_SAFE = str.maketrans("-_", "+/")  # RFC 4648, section 5: browsers' and Gmail's alphabet
_STARTS: tuple[tuple[bytes, int, str], ...] = (
    # How the bytes begin, and from where: https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF87a", 0, "image/gif"),
    (b"GIF89a", 0, "image/gif"),
    (b"WEBPVP", 8, "image/webp"),
    (b"WAVE", 8, "audio/wav"),
    (b"ID3", 0, "audio/mpeg"),
    (b"%PDF-", 0, "application/pdf"),
)


class DataFlaw(ValueError):
    """What is wrong, as the end of a sentence about a picture or a file."""


def split_data_url(url: str) -> tuple[str | None, str]:
    """Return the MIME type and the base64 of a `data:` URL (RFC 2397).

    Raises:
        DataFlaw: it holds no base64.
    """
    head, comma, data = url[5:].partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise DataFlaw("is a data: URL without base64")
    return head.partition(";")[0].strip().lower() or None, data


def decoded(written: str) -> tuple[str, bytes]:
    """Return base64 as every provider takes it, and the bytes it stands for.

    Line breaks, the URL-safe alphabet and missing padding are mended.

    Raises:
        DataFlaw: it is empty or no base64.
    """
    try:
        return written, _strict(written)
    except ValueError:
        text = "".join(written.split()).translate(_URL_SAFE).rstrip("=")
        text += "=" * (-len(text) % 4)
    try:
        return text, _strict(text)
    except ValueError:  # also what holds a letter that is not ASCII
        raise DataFlaw("holds no data" if not text else "holds data that is no base64") from None


def _strict(text: str) -> bytes:
    content = binascii.a2b_base64(text, strict_mode=True)
    if not content:
        raise ValueError("nothing")
    return content


def named_by(content: bytes) -> str | None:
    """Return the MIME type that the bytes begin like; `None` for one that is not known here."""
    return next((mime for start, at, mime in _STARTS if content.startswith(start, at)), None)


def web_url(url: str) -> str:
    """Return a URL that a provider can fetch.

    Raises:
        DataFlaw: it is none.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or len(url.split()) != 1:
        raise DataFlaw("has a URL that is neither http(s): nor data:")
    return url.strip()
