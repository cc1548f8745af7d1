"""Messages, screened: in a graph's state, and in a client's JSON before any of it is stored."""

from collections.abc import Iterable
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.types import Command

from everturn.graph.guards.guards import Guards
from everturn.graph.guards.verdict import Noted, Where
from everturn.graph.texts import text_of, texts_in, with_texts

AnyMessage = TypeVar("AnyMessage", bound=BaseMessage)

NOTES = "guards"
"""Key in a message's `additional_kwargs` of what was found in it."""


async def screened(message: AnyMessage, guards: Guards) -> AnyMessage:
    """Return a message as it may go on: the same one where nothing was found."""
    where, notes = _where(message), list[Noted]()
    content = await _content(message.content, where, guards, notes)
    if not notes:
        return message
    kwargs = {**message.additional_kwargs, NOTES: [note.to_json() for note in notes]}
    changed: dict[str, Any] = {"content": content, "additional_kwargs": kwargs}
    if isinstance(message, ToolMessage) and any(note.action != "mark" for note in notes):
        changed["artifact"] = None  # the same once more, in a form of the tool's own
    return message.model_copy(update=changed)


async def screened_answer(answer: Any, guards: Guards) -> Any:
    """Return what a tool call came to, as it may be stored: a message, a `Command` or a list."""
    if isinstance(answer, ToolMessage):
        return await screened(answer, guards)
    if isinstance(answer, list):
        return [await screened_answer(each, guards) for each in answer]
    if isinstance(answer, Command) and isinstance(answer.update, dict):
        messages = answer.update.get("messages")
        if isinstance(messages, list):
            made = [await screened_answer(each, guards) for each in messages]
            return Command(
                graph=answer.graph,
                update={**answer.update, "messages": made},
                resume=answer.resume,
                goto=answer.goto,
            )
    return answer


def blocked_by(messages: Iterable[BaseMessage], guards: Guards) -> str | None:
    """Return the guard that blocked one of these, if any did."""
    texts = (text for message in messages for text in _texts(message.content))
    return next((name for text in texts if (name := guards.blocked_by(text))), None)


async def screened_input(given: Any, guards: Guards) -> Any:
    """Return an input, as JSON, in which each text of a message may go on.

    The node `guard_input` sees it again.
    """
    changed: dict[int, str] = {}
    for number, found in enumerate(texts_in(given, files=True)):
        said = await guards.screen(found.text, "input", again=True)
        if said.text != found.text:
            changed[number] = said.text
    return with_texts(given, changed, files=True)


def _where(message: BaseMessage) -> Where:
    if isinstance(message, ToolMessage):
        return "tool"
    return "answer" if isinstance(message, AIMessage) else "input"


async def _content(content: Any, where: Where, guards: Guards, notes: list[Noted]) -> Any:
    if isinstance(content, str):
        said = await guards.screen(content, where)
        notes += said.notes
        return said.text
    blocks: list[Any] = []
    for block in content:
        text = text_of(block)
        if text is None:
            blocks.append(block)
            continue
        said = await guards.screen(text, where)
        notes += said.notes
        changed = {"type": "text", "text": said.text}
        blocks.append(block if said.text == text else changed)
    return blocks


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [text for block in content if (text := text_of(block))]
