"""The arguments of a tool call, read from the text that a model wrote.

A model may write anything. What is no JSON was cut off or garbled, and another model is asked. What
is JSON, but not arguments that a tool could be called with and a thread could keep, is the model's
mistake: it is said to the model.
"""

import json
import re
from collections import Counter
from typing import Any

from everturn.tools.kit.values import flaw_in

MAX_CHARACTERS = 262_144
"""More than a model writes in one answer: some 65,000 tokens."""
MAX_DEPTH = 32
"""Protocol buffers, which Gemini reads arguments into, end at 100 messages inside each other
(https://protobuf.dev/programming-guides/proto-limits/): three for each level of JSON."""

MAX_PIECE = 64
"""Characters. LangChain tries to read each piece by itself, shortening it by one character at a
time: 28 s for a piece of 20,000 that begins in the middle of a text."""

_CHECK_EVERY = 512
_MAX_TOKEN = 8
"""Characters of JSON that may stand at the end half written, outside of a text: `-Infinit`."""
_MARKS = re.compile(r'\\.|\\$|[\[\]{}"]', re.DOTALL)


class Bound:
    """Lets the pieces of a text through, up to the first character beyond a limit.

    So much of it is shown as it comes, and what is shown is read again and again by LangChain,
    which takes seconds over a text that is long, deep or no JSON. The rest is not needed.
    """

    def __init__(self) -> None:
        self.flaw: str | None = None
        """Which limit was passed."""
        self.broken = False
        """It can no longer become JSON, whatever follows."""
        self._text = ""
        self._depth = self._checked = 0
        self._in_string = self._escaped = False

    @property
    def is_open(self) -> bool:
        """Whether the text so far ends within an object, a list or a text."""
        return self._depth > 0 or self._in_string

    def feed(self, piece: str) -> str:
        """Return what of the next piece is within the limits, or is the first beyond."""
        if self.flaw or self.broken or not piece:
            return ""
        kept = self._within(piece)
        self._text += kept
        if len(self._text) - self._checked >= _CHECK_EVERY:
            self._checked = len(self._text)
            self.broken = not self.flaw and not _begins_json(self._text)
        return kept

    def _within(self, piece: str) -> str:
        start, self._escaped = int(self._escaped), False
        for mark in _MARKS.finditer(piece, start):
            self._count(mark.group())
            if self._depth > MAX_DEPTH:
                self.flaw = f"arguments: they are nested more than {MAX_DEPTH} levels deep"
                return piece[: mark.end()]
        room = MAX_CHARACTERS - len(self._text)
        if len(piece) > room:
            self.flaw = f"arguments: they are longer than {MAX_CHARACTERS} characters"
        return piece[: room + 1]

    def _count(self, mark: str) -> None:
        if mark == "\\":  # the character that it escapes comes with the next piece
            self._escaped = True
        elif mark == '"':
            self._in_string = not self._in_string
        elif not self._in_string and mark in "[{":
            self._depth += 1
        elif not self._in_string and mark in "]}":
            self._depth -= 1


def _begins_json(text: str) -> bool:
    try:
        json.loads(text, strict=False, parse_int=_to_int)
    except json.JSONDecodeError as error:
        unfinished = error.pos >= len(text) - _MAX_TOKEN
        return unfinished or error.msg.startswith("Unterminated string")
    return True


def read(text: str) -> tuple[dict[str, Any], str | None]:
    """Read arguments; return them, and what is wrong with them, `None` where nothing is.

    Raises:
        ValueError: the text is no JSON.
    """
    bound = Bound()
    bound.feed(text)
    if bound.flaw:
        return {}, bound.flaw
    repeated: list[str] = []

    def to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            repeated.extend(name for name, count in counts.items() if count > 1)
        return made

    # Not `strict`, as in LangChain: many models write line breaks into texts as they are.
    found = json.loads(text or "{}", strict=False, parse_int=_to_int, object_pairs_hook=to_dict)
    if found is None:  # how some servers write that there are none
        return {}, None
    if not isinstance(found, dict):
        return {}, f"arguments: they must be a JSON object, not {_kind(found)}"
    flaw = flaw_in(found, MAX_DEPTH)
    if flaw is None and repeated:
        flaw = f"{repeated[0]}: it is given more than once"
    return found, flaw


def _to_int(digits: str) -> int:
    return int(digits[:40])  # Python refuses to read some thousands; any 40 are far too large


def _kind(value: object) -> str:
    if isinstance(value, str | list):
        return "a text" if isinstance(value, str) else "a list"
    return "true or false" if isinstance(value, bool) else "a number"
