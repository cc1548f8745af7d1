"""Search by words: which words a text has, and how well it meets those of a query.

A word of Latin, Cyrillic or a like script is itself, without the commonest endings of English.
Korean, Chinese and Japanese join words without spaces or hang particles on them, so there each
pair of neighbouring letters is a word: 날씨를 is 날씨 and 씨를, and 날씨 finds it. SQLite's own
tokenizer `trigram` finds nothing that is shorter than three letters, as most Korean words are.

Words are stored as hashes of themselves and of their namespace. So one index serves all owners, a
search reads no further than its own namespace, and how rare a word is says nothing of others.
"""

import re
import unicodedata
from base64 import b32encode
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from heapq import nlargest
from math import log

MAX_OF_TEXT = 1_000
MAX_OF_QUERY = 40
"""Words that are looked for; a long message is not read to its end."""
MAX_HITS = 500
"""Texts with one word that are looked at, the newest. A word that more have says little."""

_READ = 20_000
"""Characters of a text that are read."""
_HASH_BYTES = 5
_RUNS = re.compile(
    r"(?P<pairs>[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7a3]+)"
    r"|(?P<word>[^\W_\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7a3]+)"
)
_ENDINGS = ("ing", "ies", "ed", "es", "s", "y")
_MIN_STEM = 3
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a about am an and any are as at be been but by can could did do does for
        from had has have he her him his how i if in is it its just me my no not of on
        or our she should so tell than that the their them there they this to us was
        we were what when where which who whom why will with would you your""",
    )
)
_TEXTS_SUPPOSED = 10_000
"""How many texts a namespace is supposed to have, where it is weighed how rare a word is."""


def words_of(text: str) -> list[str]:
    """Return the words of a text, each once, in their order."""
    plain = unicodedata.normalize("NFKC", text[:_READ]).casefold()
    found: dict[str, None] = {}
    for run in _RUNS.finditer(plain):
        if letters := run["pairs"]:
            pairs = (letters[at : at + 2] for at in range(max(1, len(letters) - 1)))
            found.update(dict.fromkeys(pairs))
        elif run["word"] not in _STOP_WORDS:
            found[_stem(run["word"])] = None
        if len(found) >= MAX_OF_TEXT:
            break
    return list(found)[:MAX_OF_TEXT]


def stored(namespace: str, text: str) -> str:
    """Return the words of a text as they are stored."""
    return " ".join(_hashed(namespace, word) for word in words_of(text))


def asked(namespace: str, query: str) -> list[str]:
    """Return the words of a query as they are stored."""
    return [_hashed(namespace, word) for word in words_of(query)[:MAX_OF_QUERY]]


def scores(hits: Mapping[str, Sequence[int]], wanted: int) -> dict[int, float]:
    """Return how well texts meet a query, from 0 to 1: one that has all its words has 1.

    Args:
        hits: the texts that have each word.
        wanted: how many words the query has; those that no text has count as the rarest.
    """
    weights = {word: log(1 + _TEXTS_SUPPOSED / len(texts)) for word, texts in hits.items() if texts}
    missing = wanted - len(weights)
    total = sum(weights.values()) + missing * log(1 + _TEXTS_SUPPOSED)
    found: dict[int, float] = {}
    for word, weight in weights.items():
        for text in hits[word]:
            found[text] = found.get(text, 0.0) + weight / total
    return found


def best(found: Mapping[int, float], count: int) -> list[int]:
    """Return the texts with the highest scores, the newest first among equals."""
    return [text for _, text in nlargest(count, zip(found.values(), found, strict=True))]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            return word.removesuffix(ending)
    return word


def _hashed(namespace: str, word: str) -> str:
    digest = blake2b(f"{namespace}\0{word}".encode(), digest_size=_HASH_BYTES).digest()
    return b32encode(digest).decode().lower()
