"""An answer put together from its chunks, unrepaired, and what is wrong with it."""

import json
from typing import Any

from everturn.graph.models.arguments import read
from everturn.graph.models.failures import Failure, Kind
from everturn.graph.models.reader import Chunk

_MAX_COST = 1e9
"""US dollars; what is more is no price, and JSON's integers have no end."""


class Answer:
    """Folds the chunks of one call into the completion it would have been without streaming.

    Tool calls are kept as they came. LangChain completes JSON that was cut off, so that
    `{"city": "Par` would be called as Par.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self.usage: dict[str, Any] | None = None
        self.returned: dict[str, Any] = {}
        """What the provider wants back with this message."""
        self._envelope: Chunk = {}
        self._finish: str | None = None
        self._choices = False
        self._calls: dict[int, dict[str, Any]] = {}

    @property
    def started(self) -> bool:
        """Whether anything was said, thought or called."""
        return bool(self._texts or self._thoughts or self._calls)

    @property
    def text(self) -> str:
        """What was said."""
        return "".join(self._texts)

    @property
    def reasoning(self) -> str:
        """What was thought before."""
        return "".join(self._thoughts)

    @property
    def cost(self) -> float | None:
        """US dollars, where the provider says (https://openrouter.ai/docs/use-cases/usage-accounting)."""
        cost = (self.usage or {}).get("cost")
        if isinstance(cost, int | float) and 0 <= cost < _MAX_COST:
            return float(cost)
        return None

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The tool calls in their order, as the model wrote them."""
        return [self._calls[index] for index in sorted(self._calls)]

    def add(self, chunk: Chunk) -> None:
        """Take in the next chunk."""
        self.usage = chunk.get("usage") or chunk.get("usage_so_far") or self.usage
        self.returned = chunk.get("returned", self.returned)
        for choice in chunk["choices"]:
            self._choices, self._envelope = True, chunk
            self._finish = choice["finish_reason"] or self._finish
            delta = choice["delta"]
            if text := delta.get("content"):
                self._texts.append(text)
            if thought := delta.get("reasoning"):
                self._thoughts.append(thought)
            for piece in delta.get("tool_calls") or ():
                self._add_call(piece)

    def flaw(self) -> Failure | None:
        """Say what keeps the answer from being complete; `None` for a good one.

        A stream that ends with neither a finish reason nor `[DONE]` was cut, whatever it says.
        """
        whole_calls = all(_is_json(each["function"]) for each in self._calls.values())
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
            (not (self._calls or self.text.strip()), "empty", self._nothing_said()),
        )
        return next((Failure(kind, message) for wrong, kind, message in flaws if wrong), None)

    def completion(self) -> dict[str, Any]:
        """Return the answer in the shape of a `chat.completion`."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self._calls:
            message["tool_calls"] = [_readable(call) for call in self.calls]
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        return {**self._envelope, "choices": [choice], "usage": self.usage}

    def kwargs(self) -> dict[str, Any]:
        """Return what the message remembers beside its content, as `additional_kwargs`."""
        kwargs: dict[str, Any] = {}
        if self.reasoning:
            kwargs["reasoning_content"] = self.reasoning
        if self.returned:
            kwargs[PROVIDER_FIELDS] = self.returned
        return kwargs

    def _nothing_said(self) -> str:
        if not self.reasoning:
            return "the model said nothing"
        return "the model used up its tokens with thinking (max_tokens) and said nothing"

    def _add_call(self, piece: dict[str, Any]) -> None:
        call = self._calls.setdefault(
            piece["index"],
            {"id": None, "type": "function", "function": {"name": "", "arguments": ""}},
        )
        call["id"] = piece["id"] or call["id"]
        call["function"]["name"] += piece["function"]["name"] or ""
        call["function"]["arguments"] += piece["function"]["arguments"]


PROVIDER_FIELDS = "provider_specific_fields"
"""The name in a message's `additional_kwargs` of what its provider wants back."""


def _is_json(function: dict[str, Any]) -> bool:
    try:
        read(function["arguments"])
    except ValueError:
        return False
    return True


def _readable(call: dict[str, Any]) -> dict[str, Any]:
    """Return a call in a form that LangChain can read; its nodes read `calls` themselves."""
    args, _ = read(call["function"]["arguments"])
    return {**call, "function": {**call["function"], "arguments": json.dumps(args)}}
