"""What a caller sends: checked before anything is run or written."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages

from everturn.graph.characters import CharacterRefused, clean
from everturn.graph.errors import InvalidContent
from everturn.graph.guards.guards import Guards
from everturn.graph.guards.messages import screened_input
from everturn.graph.models.blocks import Medium, Unreadable, read_block
from everturn.graph.models.content import media_in, start_of_turn
from everturn.graph.texts import texts_in, with_texts


async def admitted(given: Any, guards: Guards | None) -> Any:
    """Return an input as it may be stored and run: see `characters`, and `guards`.

    Raises:
        InvalidContent: a character of it is not taken; says which one, and where.
    """
    changed: dict[int, str] = {}
    for number, found in enumerate(texts_in(given)):
        try:
            text = clean(found.text)
        except CharacterRefused as flaw:
            raise InvalidContent(f"{found.path}: {flaw}.") from None
        if text != found.text:
            changed[number] = text
    given = with_texts(given, changed)
    return await screened_input(given, guards) if guards else given


def media_of_input(given: object) -> set[Medium]:
    """Return what the newest turn of an input shows, beside text.

    Raises:
        InvalidContent: a block of a user's message cannot be sent to any model.
    """
    messages = _messages_of(given)
    for number, message in enumerate(messages):
        if isinstance(message, HumanMessage) and isinstance(message.content, list):
            _check(message.content, f"input.messages.{number}.content")
    return media_in(messages[start_of_turn(messages) :])


def _check(content: list[Any], where: str) -> None:
    for number, block in enumerate(content):
        try:
            read_block(block)
        except Unreadable as flaw:
            raise InvalidContent(f"{where}.{number}: {flaw}.") from None


def _messages_of(given: object) -> list[BaseMessage]:
    """Return the messages of an input; none where it has no blocks, or LangChain refuses them."""
    found = given.get("messages") if isinstance(given, Mapping) else None
    messages: list[Any] = found if isinstance(found, list) else [found]
    if not any(map(_has_blocks, messages)):
        return []
    try:
        return convert_to_messages(messages)
    except Exception:  # LangChain refuses what is no message in many ways
        return []


def _has_blocks(message: object) -> bool:
    content = message.get("content") if isinstance(message, Mapping) else message
    return isinstance(getattr(content, "content", content), list)
