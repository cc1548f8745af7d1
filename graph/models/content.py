"""The content of messages as `/chat/completions` takes it, whatever its blocks were written for.

Only what a user says can show a picture: the wire has no place for one in an answer or in a tool's
result. Text alone is sent as a string, since many local servers take no lists.
"""

from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage, HumanMessage

from everturn.graph.models.blocks import WORDS, Media, Medium, Text, is_media, read_blocks

Wire = dict[str, Any]
"""A content part as OpenAI names it."""

AnyBaseMessage = TypeVar("AnyBaseMessage", bound=BaseMessage)

_NOT_SHOWN = "not shown to this model"
_NO_PLACE = "only a message of the user can show it"
_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a"}
"""MIME subtypes whose format has another name: OpenAI's are `mp3` and `wav`."""


def wire_messages(
    messages: Sequence[AnyBaseMessage], left_out: Collection[Medium] = ()
) -> list[AnyBaseMessage]:
    """Return messages with content that the wire takes; `left_out` is not shown of older turns."""
    turn = start_of_turn(messages)
    return [
        message
        if isinstance(message.content, str)
        else _with(message, () if number >= turn else left_out)
        for number, message in enumerate(messages)
    ]


def _with(message: AnyBaseMessage, left_out: Collection[Medium]) -> AnyBaseMessage:
    content = wire_content(
        message.content, shows=isinstance(message, HumanMessage), left_out=left_out
    )
    return message.model_copy(update={"content": content})


def wire_content(
    content: str | list[Any], *, shows: bool = True, left_out: Collection[Medium] = ()
) -> str | list[Wire]:
    """Return a message's content as text, or as parts where it `shows` something.

    What is left out, unknown or cannot be read is named in a short text.
    """
    if isinstance(content, str):
        return content
    parts: list[Text | Media] = []
    for read in read_blocks(content):
        if isinstance(read, Text):
            parts += [read] if read.text else []
        elif not shows or read.medium in left_out:
            parts.append(_left_out(read, _NOT_SHOWN if shows else _NO_PLACE))
        else:
            parts.append(read)
    if any(isinstance(part, Media) for part in parts):
        return [_wire(part) for part in parts]
    return "\n".join(part.text for part in parts if isinstance(part, Text))


def text_of(content: str | list[Any]) -> str:
    """Return the words of a message's content."""
    if isinstance(content, str):
        return content
    texts = (read.text for read in read_blocks(content) if isinstance(read, Text))
    return "\n".join(text for text in texts if text)


def media_in(messages: Sequence[BaseMessage]) -> set[Medium]:
    """Return what users show in these messages, beside text."""
    return {
        read.medium
        for message in messages
        if isinstance(message, HumanMessage) and not isinstance(message.content, str)
        for read in read_blocks(message.content)
        if isinstance(read, Media)
    }


def shows(message: BaseMessage) -> bool:
    """Say whether a user's message seems to hold more than text; its data is not read."""
    if not isinstance(message, HumanMessage) or isinstance(message.content, str):
        return False
    return any(map(is_media, message.content))


def start_of_turn(messages: Sequence[BaseMessage]) -> int:
    """Return where the current turn starts: at the first of what the user said last."""
    at = len(messages)
    while at and not isinstance(messages[at - 1], HumanMessage):
        at -= 1
    while at and isinstance(messages[at - 1], HumanMessage):
        at -= 1
    return at


def _left_out(media: Media, why: str) -> Text:
    name = f" {media.name!r}" if media.name else ""
    return Text(f"[{WORDS[media.medium]}{name} left out: {why}]")


def _wire(part: Text | Media) -> Wire:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    place = part.url or f"data:{part.mime};base64,{part.data}"
    match part.medium:
        case "image":
            detail = {"detail": part.detail} if part.detail else {}
            return {"type": "image_url", "image_url": {"url": place, **detail}}
        case "audio":
            subtype = (part.mime or "").partition("/")[2]
            sound = {"data": part.data, "format": _FORMATS.get(subtype, subtype)}
            return {"type": "input_audio", "input_audio": sound}
        case "video":  # https://openrouter.ai/docs/features/multimodal/videos, vLLM's too
            return {"type": "video_url", "video_url": {"url": place}}
        case "file" if part.file_id:
            return {"type": "file", "file": {"file_id": part.file_id}}
        case (
            "file"
        ):  # a URL here is OpenRouter's: https://openrouter.ai/docs/features/multimodal/pdfs
            return {"type": "file", "file": {"filename": _name_of(part), "file_data": place}}


def _name_of(part: Media) -> str:
    """Name a file, which OpenAI demands."""
    ending = (part.mime or "application/pdf").partition("/")[2]
    return part.name or f"file.{ending}"
