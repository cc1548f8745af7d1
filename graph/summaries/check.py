"""Looking after the model that sums up: what it may not lose, and what it lost all the same.

Numbers and names can be looked for, whatever words a model chooses. Sentences of the user's facts
and promises whose numbers or names are missing are added word for word; notes that have lost most
of the old ones' numbers are none.
"""

import re
from collections.abc import Sequence

from langchain_core.messages import AnyMessage

from everturn.graph.steps.tokens import reckoned
from everturn.graph.summaries.simple import MAX_TOKENS, cut, sentences_worth_keeping

_NUMBERS = r"\d+(?:[.,:]\d+)*"
_NAMES = r"(?<=[a-z,;:] )[A-Z][\w-]+"
"""Words with a capital letter in the middle of a sentence."""
_FEW = 4


def has_lost(before: str, after: str) -> bool:
    """Whether most of the numbers of the notes before are gone."""
    numbers = set(re.findall(_NUMBERS, before))
    gone = {number for number in numbers if number not in after}
    return len(numbers) >= _FEW and len(gone) > len(numbers) / 2


def completed(text: str, messages: Sequence[AnyMessage]) -> str:
    """Add to new notes what they lack of the messages that they are made of."""
    lacking = [line for line in sentences_worth_keeping(messages) if _lacks(text, line)]
    if not lacking:
        return text
    added = cut("\n".join(lacking), MAX_TOKENS // 2)
    return f"{cut(text, MAX_TOKENS - reckoned(added) - 1)}\n{added}"


def _lacks(text: str, line: str) -> bool:
    said = line.split(": ", 1)[-1]
    marks = re.findall(_NUMBERS, said) + re.findall(_NAMES, said)
    return any(mark not in text for mark in marks)
