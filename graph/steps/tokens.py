"""How many tokens something has, reckoned without a tokenizer: rather too many than too few."""

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

_BYTES = 3
"""UTF-8 for one token, at least: in English about four, in Korean about three."""
_BLOCK_TOKENS = 1_500
"""A picture, or a page of a file, as most models count them."""


def tokens_of(message: BaseMessage) -> int:
    """Reckon a message."""
    content = message.content
    blocks = [content] if isinstance(content, str) else content
    texts = [each if isinstance(each, str) else each.get("text") for each in blocks]
    calls = getattr(message, "tool_calls", None)
    written = json.dumps(calls, ensure_ascii=False, default=str) if calls else ""
    return reckoned(written) + sum(
        reckoned(text) if isinstance(text, str) else _BLOCK_TOKENS for text in texts
    )


def tokens_of_schemas(schemas: Sequence[dict[str, Any]]) -> int:
    """Reckon tools, as a model is shown them."""
    return reckoned(json.dumps(list(schemas), ensure_ascii=False)) if schemas else 0


def reckoned(text: str) -> int:
    """Reckon a text."""
    return -(-len(text.encode(errors="replace")) // _BYTES)
