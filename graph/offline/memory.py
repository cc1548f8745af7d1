"""Answering questions about the conversation itself, by rule and from its messages alone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from everturn.graph.offline.facts import asked, stated
from everturn.graph.offline.wording import Wording

# Patterns stay strings: `re` compiles each at its first use and keeps it, so importing is free.
_SAID = r"(?:ask|asked|say|said|tell|told|write|wrote|written|type|typed|mention|mentioned|request)"
_NTH = (
    r"(?:very )?(?:first|second|third|fourth|fifth|last|latest|previous|most recent"
    r"|\d+(?:st|nd|rd|th))"
)
_NOUN = r"(?:question|message|request|prompt|sentence|thing)s?"
_USERS = (
    rf"(?i)\b(?:what|which)\b.{{0,40}}\b(?:did|have|had) i\b.{{0,24}}\b{_SAID}\b"
    r"|\b(?:what|which)\b.{0,40}\bi (?:just |first |last |previously |have )?(?:asked|said|told)\b"
    rf"|\b(?:what|which|repeat|recall|remember|tell me|show)\b.{{0,24}}\bmy {_NTH} {_NOUN}"
    r"|\b(?:what have we|what did we|summari[sz]e|recap)\b.{0,24}"
    r"\b(?:talk|discuss|conversation|chat)"
    r"|(?:내가|제가|나는|난|저는|우리가?)\s.{0,24}?(?:뭐|무엇|무슨|어떤|뭘).{0,16}"
    r"(?:라고\s*했|말|물어|물었|질문|얘기|이야기|부탁)"
    r"|(?:첫|두|세|네|다섯|마지막|이전|직전|방금|\d)\s*(?:번째)?\s*(?:한\s*)?(?:질문|메시지|말|요청)"
    r"[이은을]?\s*(?:뭐|뭔|무엇|어떤|기억|알려|말해)"
)
_MODELS = (
    r"(?i)\bwhat (?:did|have) you\b.{0,16}\b(?:say|said|answer|answered|reply|replied|tell|told)\b"
    r"|\b(?:repeat|what was) your (?:first |last |previous )?(?:answer|reply|response|message)\b"
    r"|(?:네가|니가|너는?|당신[이은])\s.{0,16}?(?:뭐|무엇|뭘).{0,8}(?:라고\s*했|말|답)"
)
_COUNT = (
    rf"(?i)\bhow many (?:{_NOUN}|times)\b.{{0,24}}\bi\b"
    r"|(?:내가|제가|지금까지).{0,12}(?:질문|메시지|말)\S*\s*몇\s*(?:개|번)"
)
_POSITIONS = (
    (r"(?i)\b(?:first|initially|beginning|start)\b|처음|첫|맨 먼저", 0),
    (r"(?i)\bsecond\b|두\s*번째", 1),
    (r"(?i)\bthird\b|세\s*번째", 2),
    (r"(?i)\bfourth\b|네\s*번째", 3),
    (r"(?i)\bfifth\b|다섯\s*번째", 4),
    (r"(?i)\b(?:just|last|latest|previous|previously|before|recent|recently)\b", -1),
    (r"방금|마지막|직전|이전|아까|전에", -1),
)
_NUMBERED = r"(?ai)\b([1-9]\d{0,3})(?:st|nd|rd|th)\b|([1-9]\d{0,3})\s*번째"
_ABOUT = r"(?i)\babout (?P<topic>.+?)[\s?.!]*$|(?P<topic_ko>\S{1,30}?)에 (?:대해|관해)"
_MAX_QUOTE = 300
_MAX_QUOTES = 10


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said before the present message, oldest first, and that message itself."""

    users: Sequence[str]
    models: Sequence[str]
    present: str
    noted: Sequence[str] = ()
    """What users said before that, as far as the notes of a long conversation have it."""


def recall(sentence: str, conversation: Conversation, words: Wording) -> str | None:
    """Answer a sentence that asks about the conversation; `None` for any other."""
    if (what := asked(sentence)) is not None:
        known = _facts(conversation)
        return words.fact.format(what, known[what]) if what in known else words.no_fact.format(what)
    if re.search(_COUNT, sentence):
        return words.count.format(len(conversation.users))
    if re.search(_MODELS, sentence):
        return _of_model(sentence, conversation.models, words)
    if re.search(_USERS, sentence):
        return _of_user(sentence, conversation, words)
    return None


def not_said(sentence: str, conversation: Conversation) -> bool:
    """Say whether a sentence asks for a fact that nobody has stated in this conversation."""
    return (what := asked(sentence)) is not None and what not in _facts(conversation)


def _facts(conversation: Conversation) -> dict[str, str]:
    said = [*conversation.noted, *conversation.users, conversation.present]
    return dict(chain.from_iterable(map(stated, said)))


def _of_model(sentence: str, said: Sequence[str], words: Wording) -> str:
    if not said:
        return words.i_said_nothing
    return words.i_said.format(_quote(said[0 if _position(sentence) == 0 else -1]))


def _of_user(sentence: str, conversation: Conversation, words: Wording) -> str:
    said = conversation.users
    if not said:
        return words.nothing_before
    match _position(sentence):
        case None:
            text = _on_a_topic(sentence, said, conversation.noted, words)
        case -1:
            text = words.last.format(_quote(said[-1]))
        case 0:
            text = words.first.format(_quote(said[0]))
        case position if position < len(said):
            text = words.numbered.format(position + 1, _quote(said[position]))
        case _:
            text = words.only_so_many.format(len(said))
    return text


def _on_a_topic(sentence: str, said: Sequence[str], noted: Sequence[str], words: Wording) -> str:
    """Quote the message about what a sentence names; all of them when it names nothing."""
    topic = re.search(_ABOUT, sentence)
    if topic and (found := _nearest(topic["topic"] or topic["topic_ko"], [*noted, *said])):
        return words.about.format(_quote(found))
    quotes = [f"“{_quote(text)}”" for text in said[-_MAX_QUOTES:]]
    return words.all_messages.format(words.comma.join(quotes))


def _position(sentence: str) -> int | None:
    """Return which message is meant: from 0, or -1 for the last; `None` for no certain one."""
    if number := re.search(_NUMBERED, sentence):
        return int(number[1] or number[2]) - 1
    return next((at for pattern, at in _POSITIONS if re.search(pattern, sentence)), None)


def _nearest(topic: str, said: Sequence[str]) -> str | None:
    """Return the latest message that shares most words with a topic."""
    wanted = set(re.findall(r"\w{2,}", topic.lower()))
    shared = [len(wanted & set(re.findall(r"\w{2,}", text.lower()))) for text in said]
    best = max(shared)
    return said[len(said) - 1 - shared[::-1].index(best)] if best else None


def _quote(text: str) -> str:
    return text if len(text) <= _MAX_QUOTE else text[:_MAX_QUOTE] + "…"
