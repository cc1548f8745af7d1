"""The texts of an input's messages, as a client's JSON has them, each with its place."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from everturn.graph.models.blocks import Text, Unreadable, read_block

_PAIR = 2


@dataclass(frozen=True, slots=True)
class SaidText:
    """A text of a message in an input, as JSON has it."""

    text: str
    path: str
    _place: Any
    """The object or list that it stands in."""
    _key: Any
    _is_file: bool = False

    def replace(self, text: str) -> None:
        """Put another text in its place; in that of a file a block of text."""
        self._place[self._key] = {"type": "text", "text": text} if self._is_file else text


def texts_in(given: Any, *, files: bool = False) -> Iterator[SaidText]:
    """Yield the texts of an input's messages, with those of text `files` that it holds as data.

    Messages that are objects of LangChain's are passed over: no client sends any.
    """
    for holder, key in _holders(given):
        messages, path = holder[key], "input.messages"
        if not isinstance(messages, list):
            yield from _texts_of_message(holder, key, path, files=files)
            continue
        for number in range(len(messages)):
            yield from _texts_of_message(messages, number, f"{path}.{number}", files=files)


def characters_of(content: Any) -> int:
    """Count what a message's content says in words, with the text files that it holds."""
    message = {"messages": [{"content": content}]}
    return sum(len(found.text) for found in texts_in(message, files=True))


def with_texts(given: Any, texts: Mapping[int, str], *, files: bool = False) -> Any:
    """Return an input with other texts, by their numbers in `texts_in`; without any the same."""
    if not texts:
        return given
    given = deepcopy(given)
    for number, found in enumerate(list(texts_in(given, files=files))):
        if number in texts:
            found.replace(texts[number])
    return given


def text_of(block: object) -> str | None:
    """Return what a block says, also where it is a text file; `None` of what is no text."""
    try:
        read = read_block(block)
    except Unreadable:
        return None
    return read.text if isinstance(read, Text) else None


def _holders(given: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where messages stand: in an object, or as LangGraph's commands may have it in pairs."""
    if isinstance(given, dict) and "messages" in given:
        yield given, "messages"
    elif isinstance(given, list):
        pairs = (each for each in given if isinstance(each, list) and each[:1] == ["messages"])
        yield from ((pair, 1) for pair in pairs if len(pair) == _PAIR)


def _texts_of_message(place: Any, key: Any, path: str, *, files: bool) -> Iterator[SaidText]:
    message = place[key]
    if isinstance(message, dict):
        yield from _texts_of(message, "content", f"{path}.content", files=files)
    elif isinstance(message, list):  # a role and its words
        if len(message) == _PAIR:
            yield from _texts_of(message, 1, path, files=files)
    else:
        yield from _texts_of(place, key, path, files=files)


def _texts_of(place: Any, key: Any, path: str, *, files: bool) -> Iterator[SaidText]:
    content = place.get(key) if isinstance(place, dict) else place[key]
    if isinstance(content, str):
        yield SaidText(content, path, place, key)
    for number, block in enumerate(content if isinstance(content, list) else ()):
        here = f"{path}.{number}"
        if isinstance(block, str):
            yield SaidText(block, here, content, number)
        elif isinstance(block, dict) and isinstance(block.get("text"), str):
            yield SaidText(block["text"], f"{here}.text", block, "text")
        elif files and (text := text_of(block)) is not None:
            yield SaidText(text, here, content, number, _is_file=True)
