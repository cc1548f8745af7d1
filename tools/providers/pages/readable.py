"""The text that people read on a page, from its markup.

lxml reads it event by event: no tree is built, so what a hostile page costs grows no faster than
its size. (Measured with 1 MB of nested, unclosed or attribute-laden tags: 1.4 s at most; with some
of them the standard library's parser and selectolax's tree were not done after 12 s.)
"""

import re
from collections.abc import Mapping
from contextlib import suppress

from lxml import etree  # type: ignore[import-untyped]  # it ships no types

from everturn.tools.providers.pages.text import Text

_SILENT = (
    "script style template noscript svg math iframe object canvas select button dialog "
    "nav footer aside"
)
_APART = (
    "address article blockquote body caption dd details div dl dt fieldset figcaption figure form "
    "h1 h2 h3 h4 h5 h6 header hr legend li main ol p pre section summary table tbody tfoot thead "
    "tr ul"
)
_UNREAD = frozenset(_SILENT.split())
"""Elements whose text is no part of what a page has to say."""
_BLOCKS = frozenset(_APART.split())
"""Elements that begin and end a line."""
_HEADINGS = {f"h{level}": f"\n{'#' * level} " for level in range(1, 7)}
_OPENINGS = dict.fromkeys((*_BLOCKS, "br"), "\n") | {"li": "\n- ", "td": " | ", "th": " | "}
_OPENINGS |= _HEADINGS
_MARKS = frozenset({"-", *(mark.strip() for mark in _HEADINGS.values())})
_KEPT = "\u00a0"
"""Stands for a space that says something, until the others are put in order."""
_SPACES = {ord(space): " " for space in "\n\r\t\f\u00a0"}
_MAIN = frozenset({"main", "article"})
_MIN_MAIN = 200
"""Characters a page's main part must have to be taken for all that it says."""
_CHUNK = 65_536
_MAX_TITLE = 300


def readable(markup: str) -> Text:
    """Return what a page says: headings, lists and paragraphs, a line each."""
    reader = _Reader()
    parser = etree.HTMLParser(target=reader, encoding="utf-8")
    with suppress(etree.XMLSyntaxError):  # nothing in it, or nested beyond what lxml follows
        for start in range(0, len(markup), _CHUNK):
            parser.feed(markup[start : start + _CHUNK].encode("utf-8", "replace"))
        parser.close()
    return reader.text


class _Reader:
    """Collects what lxml reads of a page, element by element; a page may have a million of them."""

    def __init__(self) -> None:
        self._title: list[str] = []
        self._language = ""
        self._all: list[str] = []
        self._main: list[str] = []
        self._unread = self._mains = self._pres = self._titles = 0
        """How many such elements are open."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in _UNREAD:
            self._unread += 1
        elif tag in _MAIN:
            self._mains += 1
        elif tag == "pre":
            self._pres += 1
        elif tag == "title":
            self._titles += 1
        elif tag == "html":
            self._language = attributes.get("lang", "")[:20]
        if opening := _OPENINGS.get(tag):
            self._say(opening)

    def end(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._say("\n")
        if tag in _UNREAD:
            self._unread -= 1
        elif tag in _MAIN:
            self._mains -= 1
        elif tag == "pre":
            self._pres -= 1
        elif tag == "title":
            self._titles -= 1

    def data(self, text: str) -> None:
        if self._titles:
            if not self._unread:  # drawings have titles too
                self._title.append(text)
        elif self._pres:
            self._say(text.replace(" ", _KEPT))
        else:
            self._say(text.translate(_SPACES))

    def close(self) -> None:
        """Called by lxml at the end; `text` is what was read."""

    @property
    def text(self) -> Text:
        main, everything = _tidied("".join(self._main)), _tidied("".join(self._all))
        return Text(
            title=" ".join("".join(self._title).split())[:_MAX_TITLE],
            language=self._language,
            text=main if len(main) >= _MIN_MAIN else everything,
        )

    def _say(self, text: str) -> None:
        if not self._unread:
            self._all.append(text)
            if self._mains:
                self._main.append(text)


def _tidied(text: str) -> str:
    """Leave one empty line where there were many, and no line that only marks nothing."""
    lines = (re.sub(r"[ \t]+", " ", line).strip(" |") for line in text.split("\n"))
    said = ("" if line in _MARKS else line for line in lines)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(said)).strip().replace(_KEPT, " ")
