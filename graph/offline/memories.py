"""Recognising what is to be remembered for later conversations, found again, or forgotten."""

import re
from typing import Literal, NamedTuple

Deed = Literal["remember", "recall", "forget"]

# Patterns stay strings: `re` compiles each at its first use and keeps it, so importing is free.
_POLITE = (
    r"(?i)^[\s,]*+(?:(?:please|hey|hi|ok(?:ay)?|and|also|(?:can|could|would|will) you)\b[\s,]*+)*+"
)
_REMEMBER = (
    _POLITE + r"(?:(?:always )?remember|keep in mind|(?:do not|don['’]?t) forget|make a note|note)"
    r"(?: (?:for (?:me|later|next time)|this))?(?:\s*[:,]|\s+that\b|\b(?=\s+(?:i|my|we|our)\b))\s*"
    r"(?P<what>[^?]+?)(?:,? please)?[\s.!]*$"
)
_THAT_KO = r"(?:(?:는|은|라는)\s*건|(?:는|은|라는)?\s*(?:것|거|걸|점|사실)?(?:을|를|은|도)?)"
"""What joins a deed to what it is about: the end of “I like tea” in “forget that I like tea”."""
_REMEMBER_KO = (
    r"^\s*(?:기억해|외워)\s*(?:줘|둬|주세요)?\s*[:,]\s*(?P<after>[^?]+?)[\s.!]*$"
    rf"|^\s*(?P<what>[^?]+?){_THAT_KO}\s*(?:꼭|좀|잘)?\s*"
    r"(?:기억해|잊지\s*마|외워)\s*(?:줘|주세요|줄래|둬|두세요|라)?(?:요)?[\s.!]*$"
)
_STILL = r"\bdo you (?:still )?"
_RECALL = (
    r"(?i)\bwhat (?:do|can) you (?:still )?(?:know|remember|recall)"
    r"(?: (?:of|about) (?:me|us))?[\s?.!]*$"
    rf"|{_STILL}(?:remember|know) (?:anything|something|what i (?:told|said)\b.*)[^?]*\?*$"
    r"|\bwhat (?:did|have) i (?:ask|asked|tell|told) you to remember"
    rf"|{_STILL}remember (?:what |where |when |who |that )?(?P<what>(?:i|my|we|our)\b[^?]+)\?"
)
_RECALL_KO = (
    r"(?:나|저|내|제)(?:에)?\s*(?:에\s*)?(?:대해서?|관해서?)[^?]*(?:알고|기억|아는|알아)"
    r"|(?:뭘|무엇을|뭐를?|무얼)\s*(?:기억|알고)"
    r"|^\s*(?P<what>.+?)(?:을|를|이|가|은|는)?\s*(?:아직\s*)?"
    r"기억(?:하고\s*있|하니|하나|나니|나\?|해\?|하세요|하시)"
)
_FORGET = (
    _POLITE + r"forget(?: (?:that|about|what i (?:said|told you) about))?"
    r"\s+(?P<what>[^?]+?)(?:,? please)?[\s.!]*$"
)
_FORGET_KO = (
    rf"^\s*(?P<what>[^?]+?){_THAT_KO}\s*(?:그만\s*)?"
    r"(?:잊어\s*(?:줘|주세요|버려|라)?|기억에서\s*지워\s*(?:줘|주세요)?)(?:요)?[\s.!]*$"
)
_NOTHING = (
    r"(?i)^(?:it|this|that|about it|everything|all|you|me"
    r"|이것?|그것?|이거|그거|전부|다|모두)$"
)


class Wish(NamedTuple):
    """What is to be done with long-term memory, and with what in it."""

    deed: Deed
    what: str
    """Empty for all that is known of the user."""


def wish(sentence: str) -> Wish | None:
    """Return what a sentence asks of long-term memory; `None` where it asks nothing of it."""
    found: tuple[tuple[Deed, str], ...] = (
        ("recall", _RECALL),
        ("recall", _RECALL_KO),
        ("remember", _REMEMBER),
        ("remember", _REMEMBER_KO),
        ("forget", _FORGET),
        ("forget", _FORGET_KO),
    )
    for deed, pattern in found:
        if match := re.search(pattern, sentence):
            said = (text for text in match.groupdict().values() if text)
            what = next(said, "").strip(" \t\r\n.,;:'\"“”‘’")
            if deed == "recall" or (what and not re.search(_NOTHING, what)):
                return Wish(deed, what)
    return None
