"""What users say of themselves ("my name is Ann"), and when they ask for it again."""

import re

from everturn.graph.offline.intents import sentences

# Patterns stay strings: `re` compiles each at its first use and keeps it, so importing is free.
_WHAT = r"(?P<what>(?:(?!(?:is|are|was)\b)[a-z]++ ?){1,4}?)"
_WHAT_KO = r"(?<!\w)(?:내|제|나의|저의)\s*(?P<what>[가-힣]+(?: [가-힣]+)?)"

_TOLD = (
    rf"(?i)\bmy {_WHAT}(?:['’]s| is| are) (?P<value>[^?;]{{1,120}})"
    r"|\b(?:call me|i(?:['’]m| am) called) (?P<name>[^?;]{1,60})"
)
_STATED_KO = (
    rf"{_WHAT_KO}(?:은|는) (?P<value>[^?;,]{{1,60}})"
    r"|(?:나는|난|저는|전) (?P<name>\S+?)(?:이)?라고\s*(?:해|합니다|불러|하고)"
)
_NEXT_CLAUSE = (
    r"(?i)(?:,|\s(?:and|but|so))\s(?:i|i['’]m|my|what|who|how|can|could|please|you|calculate|search"
    r"|tell)\b.*|[\s.!,]+$"
)
_COPULA_KO = r"(?:이에요|예요|에요|입니다|이야|이고|이다|야|다)?[\s.!,]*$"

_ASKED = (
    r"(?i)\b(?:what(?:['’]?s| is| was| are)|who is|(?:do|can) you (?:know|remember|recall|tell me)"
    rf"(?: what)?|tell me|remember|say|what did i (?:say|tell you)) my {_WHAT}"
    r"(?: ?(?:is|was|again|called))*\s*[?.!]*$"
)
_ASKED_KO = (
    rf"{_WHAT_KO}(?:이|가|은|는|을|를)\s*(?:뭐|무엇|뭔|누구|어디|언제|몇|기억|알아|알고|말해)"
)
_OF_THE_CONVERSATION = r"(?:question|message|request|prompt)s?$|(?:질문|메시지|말|요청)$"
_ASKED_WHO = r"(?i)^\W*(?:who am i|do you know who i am)\b|(?:내가|제가|나는)\s*누구"


def stated(text: str) -> list[tuple[str, str]]:
    """Return what a text says of its writer: `my name is Ann` gives `("name", "Ann")`."""
    found = []
    for sentence in sentences(text):
        if sentence.endswith("?") or asked(sentence):
            continue
        if match := re.search(_TOLD, sentence):
            value = re.sub(_NEXT_CLAUSE, "", match["value"] or match["name"])
            found.append((_key(match["what"] or "name"), value))
        elif match := re.search(_STATED_KO, sentence):
            value = re.sub(_COPULA_KO, "", match["value"] or match["name"])
            found.append((_key(match["what"] or "이름"), value))
    return [(what, value) for what, value in found if value]


def asked(sentence: str) -> str | None:
    """Return which fact of its writer a sentence asks for: `what is my name?` gives `name`."""
    if match := re.search(_ASKED, sentence) or re.search(_ASKED_KO, sentence):
        what = _key(match["what"])
        return None if re.search(_OF_THE_CONVERSATION, what) else what
    if match := re.search(_ASKED_WHO, sentence):
        return "name" if match[0].isascii() else "이름"
    return None


def _key(what: str) -> str:
    return what.strip().lower().replace("favourite", "favorite").replace("colour", "color")
