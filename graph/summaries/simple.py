"""A summary without a model: sentences that look worth keeping, word for word.

It is what the offline model has, and what stands in until a model has summed up. Honest and simple:
facts of the user, numbers and promises are known by their words; of the rest the newest is kept.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from everturn.graph.steps.tokens import reckoned

MAX_TOKENS = 800
"""Of a summary, whoever made it."""

_FACTS = 2  # the worth of a fact, or of a promise
_MAX_READ, _MAX_SENTENCE = 4_000, 240  # characters

# Patterns stay strings: `re` compiles each at its first use and keeps it, so importing is free.
_OF_ASSISTANT = "- assistant: "
_SENTENCES = r"(?<=[.!?。])\s+|\n+"
_FACT = (
    r"(?i)\b(?:my|our|i['’]m|i am|i live|i work|i have|i prefer|i like|i need|call me|remember)\b"
    r"|(?<!\w)(?:내|제|저는|나는|난|우리|저희)(?!\w{4})|기억해"
)
_PROMISE = (
    r"(?i)\b(?:i['’]ll|i will|we will|we['’]ll|promise|must|deadline|until|agreed|decided|todo"
    r"|by (?:mon|tues|wednes|thurs|fri|satur|sun)day)\b"
    r"|하겠|할게|약속|까지|마감|결정|해야"
)
_NUMBER = r"\d"


class _Line(NamedTuple):
    worth: int
    place: int
    text: str


def simple_summary(before: str, messages: Iterable[AnyMessage], most: int = MAX_TOKENS) -> str:
    """Sum up what was kept `before` and `messages`, in so many tokens at most."""
    texts = [line.strip() for line in before.splitlines() if line.strip()]
    texts += [f"- {who}: {said}" for who, said in _said(messages)]
    lines = [_Line(_worth(text), place, text) for place, text in enumerate(dict.fromkeys(texts))]
    kept: list[_Line] = []
    left = most
    for line in sorted(lines, key=lambda each: (each.worth, each.place), reverse=True):
        size = reckoned(f"{line.text}\n")
        if size <= left:
            kept.append(line)
            left -= size
    return "\n".join(line.text for line in sorted(kept, key=lambda each: each.place))


def sentences_worth_keeping(messages: Iterable[AnyMessage]) -> list[str]:
    """Return the sentences with facts or promises, one a line, each once."""
    lines = (f"- {who}: {said}" for who, said in _said(messages) if _worth(said, who) >= _FACTS)
    return list(dict.fromkeys(lines))


def cut(text: str, most: int) -> str:
    """Return as many whole lines of a text as have so many tokens, those worth most."""
    return text if reckoned(text) <= most else simple_summary(text, (), most)


def _said(messages: Iterable[AnyMessage]) -> Iterable[tuple[str, str]]:
    for message in messages:
        if not isinstance(message, HumanMessage | AIMessage):
            continue
        who = "user" if isinstance(message, HumanMessage) else "assistant"
        for number, sentence in enumerate(re.split(_SENTENCES, message.text[:_MAX_READ])):
            words = " ".join(sentence.split())
            # Of what is worth nothing by its words, the user's topics are kept while there is room.
            if words and (_worth(words, who) or (who == "user" and number == 0)):
                yield who, words if len(words) <= _MAX_SENTENCE else f"{words[:_MAX_SENTENCE]}…"


def _worth(text: str, who: str = "") -> int:
    if text.startswith(_OF_ASSISTANT):
        who = "assistant"
    fact = re.search(_FACT, text) if who != "assistant" else None  # what it says of itself
    promise = re.search(_PROMISE, text)
    asks = text.rstrip().endswith("?")
    number = 1 if re.search(_NUMBER, text) else 0
    return number + (0 if asks else 2 * bool(fact) + 2 * bool(promise))
