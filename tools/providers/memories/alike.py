"""Whether two texts say the same, so that the newer one takes the place of the older.

Careful: one that is taken for another is lost, while one that is kept twice only costs room. So
what differs in a number, or in one word of a short text, is another memory; the model is shown
what is like a new memory and says itself which one it replaces.
"""

import re
import unicodedata

ENOUGH = 0.85
"""Of the words of both, the part that both have."""
LIKE = 0.3
"""The same for what a model should look at."""


def same(one: str, other: str) -> bool:
    """Say whether two texts are the same but for a few words."""
    a, b = _words(one), _words(other)
    if a == b:
        return bool(a) or one.strip() == other.strip()  # signs alone are no words
    numbers = [{word for word in words if any(map(str.isdecimal, word))} for words in (a, b)]
    in_order = _common(a, b) == _common(b, a)  # “from Rome to Oslo” is not “from Oslo to Rome”
    return in_order and numbers[0] == numbers[1] and shared(one, other) >= ENOUGH


def shared(one: str, other: str) -> float:
    """Return which part of their words two texts have in common, from 0 to 1."""
    a, b = set(_words(one)), set(_words(other))
    return len(a & b) / len(a | b) if a and b else 0.0


def _common(words: list[str], others: list[str]) -> list[str]:
    """Return the words that others have, too, in the order in which each comes first."""
    known = set(others)
    return [word for word in dict.fromkeys(words) if word in known]


def _words(text: str) -> list[str]:
    # A sign before a number and behind a name counts: 5 is not -5, and C is not C++.
    return re.findall(r"[-+]?\w+[+#%]*", unicodedata.normalize("NFKC", text).casefold())
