"""One answer, in any dialect of the chat completions API, read into OpenAI's own form.

What is read: the shapes in which providers, gateways and local servers are known to answer,
streamed or not. What comes out: chunks as https://platform.openai.com/docs/api-reference/chat-streaming
describes them, with the model's reasoning beside its answer and the usage once, at the end.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from everturn.graph.models.calls import ToolCalls
from everturn.graph.models.failures import CallFailed, Failure
from everturn.graph.models.reasoning import ANSWER_BLOCKS, Returned, reasoning_in
from everturn.graph.models.text import Joiner, whole
from everturn.graph.models.think_tag import ThinkTag
from everturn.graph.models.usage import Usages
from everturn.tools.kit.values import flaw_in

Chunk = dict[str, Any]
"""One `chat.completion.chunk`, and beside what OpenAI's has: `delta["reasoning"]`, a text;
`usage_so_far`; and in the last one `returned`, what the provider wants back with the message."""

_ENVELOPE = ("id", "created", "model", "system_fingerprint", "service_tier")
_MAX_NAME = 200
"""Characters of what names an answer, its model, or its end."""
_MAX_SAID = 4 * 2**20
"""Characters that one answer says: more than a million tokens. They are stored, and sent again."""

_TOO_LONG = Failure("malformed", f"the answer is longer than {_MAX_SAID} characters")


class Reader:
    """Reads the chunks of one answer, or the one chunk of an answer that was not streamed."""

    def __init__(self) -> None:
        self.calls = ToolCalls()
        self.returned = Returned()
        self.finish_reason = ""
        self.has_choices = False
        self.ended = False
        """The provider said that this is the end: `[DONE]`, or a body that is whole."""
        self._usages = Usages()
        self._text, self._reasoning, self._think_tag = Joiner(), Joiner(), ThinkTag()
        self._envelope: Chunk = {}
        self._said = 0
        """Characters of the answer and its reasoning."""

    def read(self, raw: Mapping[str, Any]) -> Chunk | None:
        """Return what a chunk says; `None` where it says nothing.

        Raises:
            CallFailed: the answer says, or calls, more than any model does.
        """
        self._usages.add(raw.get("usage") or _dict(raw.get("x_groq")).get("usage"))
        choice = _first(raw.get("choices"))
        if choice is None:
            return None
        self.has_choices = True
        self._envelope = {key: raw[key] for key in _ENVELOPE if _is_name(raw.get(key))}
        self._usages.add(choice.get("usage"))  # Moonshot's place for it
        self.finish_reason = _finish_in(choice) or self.finish_reason
        # One that has both repeats the whole answer in `message`.
        streamed = isinstance(choice.get("delta"), dict)
        delta = _dict(choice["delta"] if streamed else choice.get("message"))
        text, thoughts, blocks = _parts(delta.get("content"))
        self.returned.add(delta, blocks)
        # OpenAI says in `refusal` that the model will not answer: it is all that it says.
        answer, tagged = self._think_tag.feed(self._text.feed(text or _str(delta.get("refusal"))))
        reasoning = self._reasoning.feed(reasoning_in(delta) or thoughts)
        self._said += len(answer) + len(reasoning) + len(tagged)
        if self._said > _MAX_SAID:
            raise CallFailed(_TOO_LONG)
        return self._chunk(answer, reasoning + tagged, self.calls.add(_calls_in(delta)))

    def close(self) -> Iterator[Chunk]:
        """Yield what the end of the answer completes: what was held back, its end, its usage."""
        answer, tagged = self._think_tag.feed(self._text.close())
        held, thought = self._think_tag.close()
        reasoning = self._reasoning.close() + tagged + thought
        if rest := self._chunk(answer + held, reasoning, self.calls.close()):
            yield rest
        if self.ended and not self.finish_reason and self.has_choices:
            self.finish_reason = "tool_calls" if self.calls else "stop"
        if self.has_choices:
            yield self._with_choice({}, self.finish_reason or None)
        yield {
            **self._envelope,
            "choices": [],
            "usage": self._usages.total(),
            "returned": self._returned(),
        }

    def _returned(self) -> Chunk:
        """What the message, and by their ids its calls, must have when they go back."""
        message = _sendable(self.returned.to_json())
        extras = {call.id: _sendable(whole(call.extra)) for call in self.calls if call.extra}
        calls = {call_id: extra for call_id, extra in extras.items() if extra}
        found = {"message": message, "tool_calls": calls}
        return {name: value for name, value in found.items() if value}

    def _chunk(self, text: str, reasoning: str, calls: list[Chunk]) -> Chunk | None:
        if not (text or reasoning or calls):
            return None
        delta: Chunk = {"role": "assistant", "content": text}
        if reasoning:
            delta["reasoning"] = reasoning
        if calls:
            delta["tool_calls"] = calls
        chunk = self._with_choice(delta, None)
        if usage := self._usages.latest():
            chunk["usage_so_far"] = usage
        return chunk

    def _with_choice(self, delta: Chunk, finish_reason: str | None) -> Chunk:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**self._envelope, "choices": [choice]}


def _sendable(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out the fields that no request or store takes: the thread would be lost with them."""
    return {
        name: value
        for name, value in fields.items()
        if not (flaw_in(name) or flaw_in(value)) and len(json.dumps(value)) <= _MAX_SAID
    }


def _is_name(value: object) -> bool:
    """Whether a value is fit to be stored as a name, or as the moment of an answer."""
    if isinstance(value, str):
        return len(value) <= _MAX_NAME and not flaw_in(value)
    return type(value) is int and not flaw_in(value)


def _first(choices: object) -> dict[str, Any] | None:
    """Return the one choice that was asked for."""
    if isinstance(choices, list):
        return next((choice for choice in choices if isinstance(choice, dict)), None)
    return None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""


def _finish_in(choice: Mapping[str, Any]) -> str:
    """Return why the answer ends; some servers write `"null"` while it goes on."""
    reason = whole(_str(choice.get("finish_reason"))[:_MAX_NAME])
    return "" if reason == "null" else str(reason)


def _calls_in(delta: Mapping[str, Any]) -> list[Any]:
    """Return the entries of the calls, or the one call in the form that came before them."""
    calls, call = delta.get("tool_calls"), delta.get("function_call")
    if isinstance(calls, list | dict):
        return calls if isinstance(calls, list) else [calls]
    return [{"index": 0, "function": call}] if isinstance(call, dict) else []


def _parts(content: object) -> tuple[str, str, list[Any]]:
    """Split content, a text or a list of blocks, into the answer, reasoning, and the blocks."""
    if isinstance(content, str):
        return content, "", []
    blocks = content if isinstance(content, list) else [content] if content else []
    answer = reasoning = ""
    for block in blocks:
        if isinstance(block, str):
            answer += block
        elif isinstance(block, dict):
            if isinstance(block.get("text"), str) and block.get("type") in ANSWER_BLOCKS:
                answer += block["text"]
            else:
                reasoning += reasoning_in(block)
    return answer, reasoning, blocks
