"""A streamed answer put together from its chunks, unrepaired, and what is wrong with it."""

import json
from collections.abc import Iterator
from typing import Any

from graph.models.failures import Failure, Kind
from graph.models.wire import Chunk


class Answer:
    """Folds the chunks of one call into the completion it would have been without streaming.

    Tool calls are kept as they came. LangChain completes JSON that was cut off, so that
    `{"city": "Par` would be called as Par.
    """

    def __init__(self) -> None:
        self.text = ""
        self.usage: dict[str, Any] | None = None
        self._more: Chunk = {}
        self._finish: str | None = None
        self._choices = False
        self._calls: dict[int, dict[str, Any]] = {}

    @property
    def begun(self) -> bool:
        """Whether anything was said or called."""
        return bool(self.text or self._calls)

    @property
    def cost(self) -> float | None:
        """US dollars, where the provider says (https://openrouter.ai/docs/use-cases/usage-accounting)."""
        cost = (self.usage or {}).get("cost")
        return float(cost) if isinstance(cost, int | float) else None

    def add(self, chunk: Chunk) -> None:
        """Take in the next chunk."""
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices") or ():
            self._choices = True
            self._more = chunk
            self._finish = choice.get("finish_reason") or self._finish
            delta = choice.get("delta") or {}
            self.text += delta.get("content") or ""
            for piece in delta.get("tool_calls") or ():
                self._add_call(piece)

    def flaw(self) -> Failure | None:
        """Say what keeps the answer from being complete; `None` for a good one.

        A stream that ends cleanly without a finish reason was cut, whatever its text looks like.
        """
        whole_calls = all(map(_is_json_object, self._arguments()))
        flaws: tuple[tuple[bool, Kind, str], ...] = (
            (not self._choices, "malformed", "the provider's answer has no choices"),
            (
                self._finish == "content_filter",
                "filtered",
                "the provider's content filter refused",
            ),
            (
                self._finish == "error",
                "unavailable",
                "the provider failed and did not say why",
            ),
            (not self._finish, "cut", "the answer broke off before its end"),
            (not whole_calls, "broken_tool_call", "the model's tool call is not valid JSON"),
            (not (self._calls or self.text.strip()), "empty", "the model said nothing"),
        )
        return next((Failure(kind, message) for wrong, kind, message in flaws if wrong), None)

    def completion(self) -> dict[str, Any]:
        """Return the answer in the shape of a `chat.completion`."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        return {**self._more, "choices": [choice], "usage": self.usage}

    def _add_call(self, piece: dict[str, Any]) -> None:
        call = self._calls.setdefault(
            piece.get("index") or 0,
            {"id": None, "type": "function", "function": {"name": "", "arguments": ""}},
        )
        function = piece.get("function") or {}
        call["id"] = piece.get("id") or call["id"]
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""

    def _arguments(self) -> Iterator[str]:
        return (call["function"]["arguments"] for call in self._calls.values())


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text or "{}"), dict)
    except ValueError:
        return False
