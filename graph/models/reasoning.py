"""What a model thinks before it answers: its text, and what its provider wants back.

Providers that let a model think between tool calls refuse the next call, or answer worse, when what
came with the last one does not come back unchanged:

- DeepSeek: `reasoning_content`, https://api-docs.deepseek.com/guides/thinking_mode
- OpenRouter: `reasoning_details`, https://openrouter.ai/docs/use-cases/reasoning-tokens
- Gemini: `extra_content` of calls and messages, https://ai.google.dev/gemini-api/docs/thought-signatures
- LiteLLM, for Anthropic: `thinking_blocks`, https://docs.litellm.ai/docs/reasoning_content
- Mistral: `thinking` blocks of the content, https://docs.mistral.ai/capabilities/reasoning
"""

from collections.abc import Mapping
from typing import Any, cast

from everturn.graph.models.text import whole

RETURNED_FIELDS: dict[str, type] = {
    "reasoning_content": str,
    "reasoning_details": list,
    "extra_content": dict,
    "thinking_blocks": list,
}
"""Fields of a message that go back to the provider they came from, and their types."""
ANSWER_BLOCKS = {None, "text", "output_text"}
"""The types of blocks that are the answer; other blocks with a text are thoughts."""

_TEXTS = ("reasoning_content", "reasoning", "thinking", "text", "summary")
"""Where reasoning stands, in a message or in a block; the first that has any counts."""
_MESSAGE_TEXTS = _TEXTS[:3]
_GROWING = {"text", "thinking", "summary", "data", "signature"}
"""Strings of a block that arrive in pieces."""


def reasoning_in(delta: Mapping[str, Any]) -> str:
    """Return the reasoning of a message's delta or of a thinking block, in any of its shapes."""
    names = _TEXTS if delta.get("type") else _MESSAGE_TEXTS
    return next((text for name in names if (text := _text(delta.get(name)))), "")


class Returned:
    """Collects, from the pieces of one answer, what its provider wants back."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._blocks: list[Any] = []

    def add(self, delta: Mapping[str, Any], blocks: list[Any]) -> None:
        """Take in a message's delta, and the blocks of its content."""
        for name, kind in RETURNED_FIELDS.items():
            value = delta.get(name)
            if isinstance(value, kind):
                value = _blocks_in(value) if isinstance(value, list) else value
                self._fields[name] = _joined(self._fields.get(name), value)
        if blocks := _blocks_in(blocks):
            self._blocks = _joined(self._blocks, blocks)

    def to_json(self) -> dict[str, Any]:
        """Return the fields that the answer's message must have when it goes back."""
        found = _put_together(self._blocks)
        thinks = any(_is_thinking(block) for block in found)
        blocks = [{"type": "text", "text": b} if isinstance(b, str) else b for b in found]
        fields = {**_put_together(self._fields), **({"content": blocks} if thinks else {})}
        return cast("dict[str, Any]", whole(fields))


def _text(value: object) -> str:
    """Return the text of a string, of a block, or of a list of either."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _text(value.get("text") or value.get("content"))
    return "".join(map(_text, value)) if isinstance(value, list) else ""


def _blocks_in(found: list[Any]) -> list[Any]:
    """Return what is a block, or a text; a request that holds anything else is refused."""
    return [each for each in found if isinstance(each, dict | str)]


def _is_thinking(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") not in {*ANSWER_BLOCKS, "reference"}


class _Pieces:
    """A text that grows: to copy it for each piece would take a long one's length in square."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = list(pieces)

    def __bool__(self) -> bool:
        return any(self.pieces)


def _put_together(found: Any) -> Any:
    """Return the same with its growing texts as texts."""
    if isinstance(found, _Pieces):
        return "".join(found.pieces)
    if isinstance(found, dict):
        return {key: _put_together(value) for key, value in found.items()}
    return [_put_together(each) for each in found] if isinstance(found, list) else found


def _joined(before: Any, piece: Any) -> Any:
    """Put a piece behind what came before it."""
    if isinstance(before, str) and isinstance(piece, str):
        return _Pieces(before, piece)
    if isinstance(before, _Pieces) and isinstance(piece, str):
        before.pieces.append(piece)
        return before
    if isinstance(before, dict) and isinstance(piece, dict):
        return {
            **before,
            **{
                key: _joined(before[key], value)
                if key in before and (key in _GROWING or not isinstance(value, str))
                else value
                for key, value in piece.items()
                if value is not None
            },
        }
    if isinstance(piece, list):
        joined = list(before) if isinstance(before, list) else []
        for block in piece:
            if joined and _continues(joined[-1], block):
                joined[-1] = _joined(joined[-1], block)
            else:
                joined.append(block)
        return joined
    return piece


def _continues(last: Any, block: Any) -> bool:
    """Say whether a block is the next piece of the last one: the same kind, the same number."""
    if isinstance(last, str | _Pieces) or isinstance(block, str):
        return isinstance(last, str | _Pieces) and isinstance(block, str)
    if not isinstance(last, dict) or not isinstance(block, dict):
        return False
    complete = bool(last.get("signature")) and bool(block.get("text") or block.get("thinking"))
    same = all(last.get(key) == block.get(key) for key in ("type", "index"))
    return same and not complete
