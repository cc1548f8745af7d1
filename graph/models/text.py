"""Text that arrives in pieces, made fit for every place that stores or sends it."""

from typing import Any


class Joiner:
    r"""Joins halves of a character that JSON escapes split between two pieces.

    `"\ud83d"` and `"\ude00"` are one emoji (RFC 8259, section 7). The first half is kept until
    the second one arrives; a half that stays alone becomes U+FFFD, since UTF-8 cannot hold it,
    as does NUL.
    """

    def __init__(self) -> None:
        self._half = ""

    def feed(self, piece: str) -> str:
        """Return what is complete with this piece."""
        if not self._half and _is_fit(piece):
            return piece
        text = self._half + piece
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return _whole(text.removesuffix(self._half) if self._half else text)

    def close(self) -> str:
        """Return what is left at the end."""
        rest, self._half = _whole(self._half), ""
        return rest


def whole(value: Any) -> Any:
    """Join the halves of characters in every text of a JSON value, and replace what is alone."""
    if isinstance(value, str):
        return value if _is_fit(value) else _whole(value)
    if isinstance(value, dict):
        return {whole(key): whole(each) for key, each in value.items()}
    return [whole(each) for each in value] if isinstance(value, list) else value


def _is_fit(text: str) -> bool:
    return text.isascii() and "\0" not in text


def _whole(text: str) -> str:
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\0", "\ufffd")  # PostgreSQL takes no NUL
