"""What has been heard of an answer while it streams, piece by piece and unrepaired."""

import json
from collections import defaultdict
from typing import Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk
from typing_extensions import override


class Heard(AsyncCallbackHandler):
    """Listens to one model call: how much a caller was shown, and the raw tool calls."""

    def __init__(self) -> None:
        self.message_id: str | None = None
        """The id under which the pieces were shown."""
        self.chars = 0
        self._arguments: defaultdict[int | None, str] = defaultdict(str)

    @property
    def broken_tool_call(self) -> bool:
        """Whether a tool call's arguments are no JSON object.

        LangChain completes what was cut off, so that `{"city": "Par` would be called as Par.
        """
        return not all(_is_json_object(arguments) for arguments in self._arguments.values())

    @override
    async def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(chunk, ChatGenerationChunk) and isinstance(chunk.message, AIMessageChunk):
            self.chars += len(chunk.message.text)
            self.message_id = chunk.message.id or self.message_id
            for call in chunk.message.tool_call_chunks:
                self._arguments[call["index"]] += call["args"] or ""


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text or "{}"), dict)
    except ValueError:
        return False
