"""One block of a message's content, read in any of the dialects that clients write it in.

LangChain's standard blocks and those before them, OpenAI's of both APIs, Anthropic's, Gemini's and
MCP's say the same few things under other names. Pure, and nothing is fetched.

Shapes: `langchain_core.messages.content`; https://platform.openai.com/docs/api-reference/chat/create
and …/responses/create; https://docs.anthropic.com/en/api/messages;
https://modelcontextprotocol.io/specification/2025-06-18/server/tools#tool-result.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from everturn.graph.models.media_data import DataFlaw, decoded, named_by, split_data_url, web_url

Medium = Literal["image", "audio", "video", "file"]
"""What is not text, by the names of a catalogue's `input_modalities`."""

MEDIA: tuple[Medium, ...] = get_args(Medium)
WORDS: dict[Medium, str] = {
    "image": "picture",
    "audio": "sound",
    "video": "video",
    "file": "file",
}
"""What people call it."""
PLURALS: dict[Medium, str] = {
    "image": "pictures",
    "audio": "sound",
    "video": "videos",
    "file": "files",
}

_TEXTS = {"text", "input_text", "output_text", "refusal"}
_MEDIA: dict[str, Medium] = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "input_audio": "audio",
    "video": "video",
    "video_url": "video",
    "input_video": "video",
    "file": "file",
    "input_file": "file",
    "document": "file",
    "media": "file",
    "text-plain": "file",
}
_NOT_CONTENT = {
    # Said again elsewhere in the message, or the model's own.
    *("thinking", "redacted_thinking", "reasoning", "reasoning_content"),
    *("tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "function_call"),
    *("server_tool_call", "server_tool_call_chunk", "server_tool_result", "server_tool_use"),
    *("code_interpreter_call", "tool_result"),
}
_NESTED = ("source", "image_url", "video_url", "input_audio", "file", "audio")
"""Where some dialects keep the rest of a block."""
_DATA = ("base64", "data", "file_data")
_URL = ("url", "image_url", "video_url", "file_url")
_MIME = ("mime_type", "mimeType", "media_type")
_NAME = ("filename", "name", "title")
_FAMILIES: dict[str, Medium] = {"image": "image", "audio": "audio", "video": "video"}
_TEXT_FILES = ("text/", "application/json", "application/xml", "application/yaml")
_MAX_TYPE = 40
"""Characters of an unknown type that are shown again."""


class Unreadable(ValueError):
    """A block that no provider could be sent; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """A picture, a sound, a video or a file: its data, or where it is."""

    medium: Medium
    mime: str | None = None
    data: str | None = None
    """Base64, of the standard alphabet, padded."""
    url: str | None = None
    file_id: str | None = None
    name: str | None = None
    detail: str | None = None
    """OpenAI's: how closely a picture is looked at."""


def read_block(block: object) -> Text | Media | None:
    """Return what a block says; `None` for what is no content, such as a thought.

    A block of an unknown type becomes a text that says that it was left out.

    Raises:
        Unreadable: it should be text or media, and is not.
    """
    if not isinstance(block, dict):
        return Text(block) if isinstance(block, str) else _unknown(type(block).__name__)
    kind = str(block.get("type", "text" if "text" in block else "unknown"))
    if kind == "non_standard":  # how LangChain wraps the blocks that it does not know
        return read_block(block.get("value", ""))
    if kind in _TEXTS or (kind == "text-plain" and "text" in block):
        return Text(_text(block.get("refusal" if kind == "refusal" else "text")))
    if kind in _MEDIA:
        return _media(_MEDIA[kind], _flat(block))
    return None if kind in _NOT_CONTENT else _unknown(kind)


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise Unreadable("its `text` is missing or not a string")
    return found


def is_media(block: object) -> bool:
    """Say whether a block seems to be a picture or the like; its data is not read."""
    if not isinstance(block, dict):
        return False
    return str(block.get("type")) in _MEDIA or is_media(block.get("value"))


def _unknown(kind: str) -> Text:
    return Text(f"[content of the type {kind[:_MAX_TYPE]!r} left out]")


def _flat(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a block with those that are nested in it beside them."""
    nested = [block[name] for name in _NESTED if isinstance(block.get(name), Mapping)]
    about = [block[name] for name in ("metadata", "extras") if isinstance(block.get(name), Mapping)]
    named = {name: each[name] for each in about for name in _NAME if name in each}
    fields = {**named, **{k: v for each in (block, *nested) for k, v in each.items()}}
    if block.get("source_type") == "id":
        fields["file_id"] = block.get("id")
    return fields


def _media(medium: Medium, fields: Mapping[str, Any]) -> Text | Media:
    data, url = _first(fields, _DATA), _first(fields, _URL)
    mime, name = _first(fields, _MIME), _first(fields, _NAME)
    if mime is None and medium == "audio" and isinstance(fields.get("format"), str):
        mime = f"audio/{fields['format']}"
    found = Media(medium, mime, name=name, detail=_first(fields, ("detail",)))
    if "text" in (fields.get("source_type"), fields.get("type")):  # a document as plain text
        text = _first(fields, ("text", "data"))
        if text is None:
            raise _unreadable(medium, "holds no text")
        return Text(_titled(name, text))
    try:
        # Either is found in the other's place: OpenRouter's `file_data` may be a URL.
        if (place := url or data) is None:
            return _by_id(found, fields.get("file_id"))
        if place[:5].lower() == "data:":
            declared, data = split_data_url(place)
            return _with_data(replace(found, mime=declared or mime), data)
        if url is not None or place[:8].lower().startswith(("http://", "https://")):
            return _with_url(replace(found, url=web_url(place)))
        return _with_data(found, place)
    except DataFlaw as flaw:
        raise _unreadable(medium, str(flaw)) from None


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    found = (fields.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and value), None)


def _unreadable(medium: Medium, flaw: str) -> Unreadable:
    return Unreadable(f"the {WORDS[medium]} {flaw}")


def _by_id(found: Media, file_id: object) -> Media:
    if not isinstance(file_id, str) or not file_id:
        raise _unreadable(found.medium, "has neither data nor a URL")
    if found.medium != "file":
        raise _unreadable(found.medium, "is named by an id: send its data or its URL")
    return replace(found, file_id=file_id)


def _with_url(found: Media) -> Media:
    if found.medium == "audio":
        raise _unreadable("audio", "has to be sent as data: no provider fetches it from a URL")
    if found.medium == "file" and (found.mime or "").startswith("image/"):
        return replace(found, medium="image")
    return found


def _with_data(found: Media, written: str) -> Text | Media:
    """Complete a block that holds its data; what the bytes are counts for more than what it says.

    Anthropic refuses a picture that is not of the type it is declared to be.
    """
    data, content = decoded(written)
    mime = named_by(content) or (found.mime or "").partition(";")[0].strip().lower() or None
    if mime is None or "/" not in mime:
        raise _unreadable(found.medium, "has no MIME type: add `mime_type`, such as image/png")
    mime = "image/jpeg" if mime == "image/jpg" else mime
    medium = _FAMILIES.get(mime.partition("/")[0], "file")
    if medium != found.medium and found.medium not in {"file", "image"}:
        raise _unreadable(found.medium, f"is of the type {mime!r}")
    if medium != found.medium == "image" and mime != "application/pdf":
        raise _unreadable("image", f"is of the type {mime!r}, which is no picture")
    if medium == "file" and mime.startswith(_TEXT_FILES):
        # OpenAI takes no files but PDF: https://platform.openai.com/docs/guides/pdf-files
        return Text(_titled(found.name, content.decode("utf-8-sig", "replace")))
    return replace(found, medium=medium, mime=mime, data=data)


def _titled(name: str | None, text: str) -> str:
    return f"{name}:\n{text}" if name else text


def read_blocks(content: list[Any]) -> Iterator[Text | Media]:
    """Yield what the blocks of a message say; what cannot be read is named in a text."""
    for block in content:
        try:
            read = read_block(block)
        except Unreadable as flaw:
            read = Text(f"[left out: {flaw}]")
        if read is not None:
            yield read
