"""OpenRouter's dialect of the chat completions API, as data: bodies, chunks, errors, the catalogue.

Shapes: https://openrouter.ai/docs/api-reference/overview, …/streaming, …/errors and
…/models; OpenAI's where OpenRouter adds nothing. Usage and cost are in every answer, whatever the
request says: OpenRouter ignores `usage.include` and `stream_options` since it always sends them.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.provider.echo import text_of
from tests.provider.script import Reply, Request

COMMENT = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Offer:
    """A model in the catalogue; prices are US dollars a token, in strings, as OpenRouter's are."""

    id: str
    context_length: int = 131_072
    prompt_price: str = "0"
    completion_price: str = "0"
    supported_parameters: tuple[str, ...] = ("max_tokens", "temperature", "tools", "tool_choice")

    def listed(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "canonical_slug": self.id.removesuffix(":free"),
            "name": self.id,
            "created": 1_750_000_000,
            "description": "A model of the fake provider.",
            "context_length": self.context_length,
            "architecture": {
                "modality": "text->text",
                "input_modalities": ["text"],
                "output_modalities": ["text"],
                "tokenizer": "Other",
                "instruct_type": None,
            },
            "pricing": {
                "prompt": self.prompt_price,
                "completion": self.completion_price,
                "request": "0",
                "image": "0",
            },
            "top_provider": {
                "context_length": self.context_length,
                "max_completion_tokens": None,
                "is_moderated": False,
            },
            "per_request_limits": None,
            "supported_parameters": list(self.supported_parameters),
        }


def completion(request: Request, reply: Reply, offer: Offer) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.tool_calls:
        message["tool_calls"] = [
            {"index": index, "id": call_id(request, index), "type": "function", "function": call}
            for index, call in enumerate(functions(reply))
        ]
    choice = {"index": 0, "message": message, "finish_reason": finish_reason(reply)}
    head = envelope(request, "chat.completion")
    return {**head, "choices": [choice], "usage": usage(request, reply, offer)}


def deltas(request: Request, reply: Reply) -> Iterator[dict[str, Any]]:
    """The pieces of a streamed answer: words, then each tool call with its arguments in bits."""
    for word in re.findall(r"\s*\S+\s*$|\s*\S+|\s+", reply.text):
        yield {"content": word}
    for index, call in enumerate(functions(reply)):
        name = {"name": call["name"], "arguments": ""}
        opening = {"index": index, "id": call_id(request, index), "type": "function"}
        yield {"tool_calls": [{**opening, "function": name}]}
        for bit in re.findall(r"(?s).{1,6}", call["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": bit}}]}


def chunk(request: Request, *choices: dict[str, Any], **more: Any) -> bytes:
    """One event of the stream."""
    body = {**envelope(request, "chat.completion.chunk"), "choices": choices, **more}
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def finish_reason(reply: Reply) -> str | None:
    if reply.finish_reason != "auto":
        return reply.finish_reason
    return "tool_calls" if reply.tool_calls else "stop"


def usage(request: Request, reply: Reply, offer: Offer) -> dict[str, Any]:
    """Tokens (four characters each, a guess that is the same every time) and what they cost."""
    asked = "".join(map(text_of, request.messages))
    said = reply.text + "".join(call["arguments"] for call in functions(reply))
    prompt, completion = (max(1, len(text) // 4) for text in (asked, said))
    price = prompt * float(offer.prompt_price) + completion * float(offer.completion_price)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost": price if reply.cost is None else reply.cost,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def functions(reply: Reply) -> list[dict[str, str]]:
    """A reply's tool calls as name and arguments, the latter a string, broken or not."""
    return [
        {
            "name": call.name,
            "arguments": call.args if isinstance(call.args, str) else json.dumps(call.args),
        }
        for call in reply.tool_calls
    ]


def envelope(request: Request, kind: str) -> dict[str, Any]:
    return {
        "id": f"gen-{request.model}-{request.number}",
        "provider": "Fake",
        "model": request.model,
        "object": kind,
        "created": int(time.time()),
    }


def call_id(request: Request, index: int) -> str:
    return f"call_{request.model}_{request.number}_{index}"
