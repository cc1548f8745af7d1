"""Lists of words and regular expressions: what is denied, and what no guard may touch."""

import re
from collections.abc import Sequence
from math import prod

from everturn.graph.guards.kinds import Kind
from everturn.graph.guards.verdict import Find

MAX_MATCH = 250
"""Characters that an entry matches, at most: so far an answer is held back to look for it."""
_MAX_WAYS = 5000
"""In which one place of a text may be matched: repetitions multiply."""
_ENDLESS = re.compile(r"[*+]|\{\d*,\}")
_GROUP_AGAIN = re.compile(r"\)\{")
_CLASSES = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")
_TIMES = re.compile(r"\{(?:\d*,)?(\d+)\}")
_OPTIONAL = re.compile(r"\{\d*,(\d+)\}|(?<![(?])\?")


class WrongWord(ValueError):
    """An entry of a list cannot be used; says why, and what to write."""


def compiled(entry: str) -> re.Pattern[str]:
    """Return the pattern of an entry: a word, or `/a regular expression/`.

    Words are found whole, in capitals or not. What could take long is refused: repetitions without
    an end (`*`, `+`, `{2,}`), of groups, or many.

    Raises:
        WrongWord: it is too long, does not compile, or could take long.
    """
    if not entry or len(entry) > MAX_MATCH:
        raise WrongWord(f"{entry[:20]!r}: an entry has 1 to {MAX_MATCH} characters")
    if regular := re.fullmatch(r"/(.+)/", entry):
        return _expression(regular[1])
    before = r"(?<!\w)" if re.match(r"\w", entry, re.ASCII) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", entry, re.ASCII) else ""
    # ASCII: a word is followed by a Korean particle without a space.
    word = re.escape(entry)
    return re.compile(f"(?a:{before}){word}(?a:{after})", re.IGNORECASE)


def _expression(written: str) -> re.Pattern[str]:
    bare = _CLASSES.sub("x", written)
    if _ENDLESS.search(bare):
        raise WrongWord(f"/{written}/: repeats without end; write {{0,50}} instead of * or +")
    ways = prod(int(most or 1) + 1 for most in _OPTIONAL.findall(bare))
    length = len(written) + sum(int(most) for most in _TIMES.findall(bare))
    if length > MAX_MATCH:
        raise WrongWord(f"/{written}/: matches texts that are longer than {MAX_MATCH} characters")
    if _GROUP_AGAIN.search(bare) or ways > _MAX_WAYS:
        raise WrongWord(f"/{written}/: has too many ways to match; repeat less, and no groups")
    try:
        found = re.compile(written, re.IGNORECASE)
    except re.error as error:
        raise WrongWord(f"/{written}/: is no regular expression: {error}") from None
    if found.search(""):
        raise WrongWord(f"/{written}/: matches an empty text, and so any")
    return found


def deny_kinds(entries: Sequence[str]) -> tuple[Kind, ...]:
    """Return what to look for; it is never named by its own words."""
    return tuple(Kind("denied", compiled(entry)) for entry in entries)


class Allowed:
    """What is left alone: finds that an entry matches from their start to their end."""

    def __init__(self, entries: Sequence[str]) -> None:
        self._patterns = [compiled(entry) for entry in entries]

    def spares(self, text: str, find: Find) -> bool:
        """Whether a find is to be left as it is."""
        return any(each.fullmatch(text, find.start, find.end) for each in self._patterns)
