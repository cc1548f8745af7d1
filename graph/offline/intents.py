"""Recognising what a text asks for: calculations, the weather, searches, and what is remembered.

In English and Korean.
"""

import re
from dataclasses import dataclass
from typing import Literal

from everturn.graph.offline.arithmetic import expressions
from everturn.graph.offline.memories import wish
from everturn.graph.offline.queries import query, question
from everturn.graph.offline.weather import places

Kind = Literal["calculation", "weather", "search", "question", "remember", "recall", "forget"]

MAX_LENGTH = 2000
"""Characters of a text in which requests are looked for: a pasted book is not read through."""

_MAX_JOINTS = 32
_SENTENCE_END = r"(?<=[.?!;。？！])\s+|\n+"
_JOINT = (
    r"(?i)(,?\s+(?:and|then)(?:\s+(?:then|also))?\s+|,?\s*그리고\s+|,\s+"
    r"|(?<=[주하찾]고)[\s,]+|\s+및\s+|\s+또\s+|(?<=날씨)(?:와|랑|하고)\s+)"
)


@dataclass(frozen=True, slots=True)
class Request:
    """One thing that a text asks for."""

    kind: Kind
    """A `question` (who, what, where …) is answered by a search, though none was ordered."""
    subject: str
    """The expression, the place or the query; empty for the weather of no named place."""
    text: str
    """The words around it, where further wishes stand: a unit, a number of results."""


def requests(text: str) -> list[Request]:
    """Return what `text` asks for, in its order and each thing once; nothing for small talk."""
    found: dict[tuple[Kind, str], Request] = {}
    for sentence in sentences(text):
        for piece in _pieces(sentence):
            for request in _requests_in(piece):
                found.setdefault((request.kind, request.subject), request)
    return list(found.values())


def sentences(text: str) -> list[str]:
    """Return the sentences of the part of a text that is read, with single spaces between words."""
    # Single spaces also keep the patterns from searching long gaps again and again.
    split = (" ".join(one.split()) for one in re.split(_SENTENCE_END, text[:MAX_LENGTH]))
    return [sentence for sentence in split if sentence]


def is_korean(text: str) -> bool:
    """Say whether a text has Korean letters; everything else is answered in English."""
    return bool(re.search(r"[\uac00-\ud7a3]", text[:MAX_LENGTH]))


def _pieces(sentence: str) -> list[str]:
    """Cut where "and" or a comma joins two requests, but not two words of one.

    In English a part that asks for nothing itself continues what stands before it. A Korean
    request ends in its verb, so what follows a complete one belongs to the next.
    """
    first, *rest = re.split(_JOINT, sentence, maxsplit=_MAX_JOINTS)
    pieces = [first]
    for joint, part in zip(rest[::2], rest[1::2], strict=True):
        if _requests_in(pieces[-1] if is_korean(sentence) else part):
            pieces.append(part)
        else:
            pieces[-1] += joint + part
    return pieces


def _requests_in(piece: str) -> list[Request]:
    if wished := wish(piece):
        return [Request(wished.deed, wished.what, piece)]
    if searched := query(piece):
        return [Request("search", searched, piece)]
    found = [Request("weather", place, piece) for place in places(piece)]
    found += [Request("calculation", expression, piece) for expression in expressions(piece)]
    if not found and (asked := question(piece)):
        found = [Request("question", asked, piece)]
    return found
