"""Finding the charset of a page's bytes: its mark, its header, its own word, or what fits.

The names are those of the web (https://encoding.spec.whatwg.org): there `iso-8859-1` means
windows-1252, and pages have relied on it for decades.
"""

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MEANT = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
}
"""By Python's names, the wider charset that browsers read instead."""
_TEXT = frozenset({"utf-8", "utf-16-le", "utf-16-be", "utf-16", *_MEANT.values()})
_DECLARED = re.compile(rb"<meta[^>]{0,512}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_HEAD = 1024  # bytes that a declaration must lie within, as in browsers


def decoded(body: bytes, charset: str | None, *, markup: bool, cut: bool = False) -> str:
    """Return a page as text; what fits no charset becomes U+FFFD.

    `charset` is the header's; a body that was `cut` may end in the middle of a letter.
    """
    for mark, codec in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(codec, "replace")
    named: list[str | None] = [charset]
    if markup and (declared := _DECLARED.search(body[:_HEAD])):
        named.append(declared[1].decode("ascii", "replace"))
    for name in named:
        if name and (known := _codec(name)):
            return body.decode(known, "replace")
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(body, final=not cut)
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _codec(name: str) -> str | None:
    """Return Python's codec of a charset of the web; not of zip, rot13 and whatever else it has."""
    try:
        found: str = codecs.lookup(name.strip("'\" ")).name
    except (LookupError, ValueError):
        return None
    codec = _MEANT.get(found, found)
    known = codec in _TEXT or codec.startswith(("cp125", "iso8859", "koi8", "euc", "iso2022"))
    return codec if known else None
