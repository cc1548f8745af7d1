"""How one provider wants to be asked, and how it speaks. OpenAI's way; others differ from it.

Shapes: https://platform.openai.com/docs/api-reference/chat and …/chat-streaming. What a provider
does otherwise, its profile overrides in `tests/provider/profiles`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, ClassVar

from tests.provider.echo import text_of
from tests.provider.errors import message_of
from tests.provider.offer import Offer
from tests.provider.rules import Refusal, Rule
from tests.provider.script import Fault, Reply, Request, ToolCall

Body = dict[str, Any]
"""A chunk of a stream, a whole answer, or an error, before it is JSON."""

CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


class Profile:
    """One provider: its rules, and the shapes of its answers and errors."""

    name: ClassVar[str]
    rules: ClassVar[Sequence[Rule]] = ()
    comment: ClassVar[bytes] = b": keep-alive\n\n"
    """What keeps a stream open while nothing is said."""
    lead: ClassVar[bytes] = b""
    """What a stream begins with, before its first chunk."""
    content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    gzip: ClassVar[bool] = False
    """Whether bodies are packed for clients that take that."""
    reasons: ClassVar[bool] = True
    """Whether it shows what the model thought."""
    always_counts: ClassVar[bool] = False
    """Whether the usage comes without being asked for."""

    # What it refuses

    def refusal(self, request: Request) -> Refusal | None:
        """The first thing that is wrong with a request."""
        return next((found for rule in self.rules if (found := rule(request))), None)

    def error(self, refusal: Refusal) -> Any:
        """The body of an error."""
        # https://platform.openai.com/docs/guides/error-codes/api-errors
        kinds = {429: "requests"} | dict.fromkeys(range(500, 600), "server_error")
        kind = kinds.get(refusal.status, "invalid_request_error")
        return _error(refusal.message, kind, refusal.param, refusal.code)

    def failure(self, fault: Fault, code: int | str, request: Request) -> Any:
        """The body of a scripted failure, with its status or the code it has inside a 200."""
        message = message_of(fault, code, request)
        status = code if isinstance(code, int) else 400
        if fault.retry_after is not None and (words := self.limit_in_words(fault.retry_after)):
            message = f"{message} {words}"
        if fault.kind == "context_length_exceeded":
            return self.error(Refusal(message, "messages", fault.kind, status))
        return self.error(Refusal(message, None, CODES.get(status, str(status)), status))

    def limits(self, fault: Fault) -> dict[str, str]:
        """The headers of a refusal that say when to come back."""
        return {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}

    def limit_in_words(self, seconds: float) -> str:
        """The same inside the message of the error."""
        return ""

    def error_frame(self, request: Request, error: Any) -> bytes:
        """An error in a stream that had begun well."""
        return self.frame(error)

    # How it speaks

    def frame(self, body: Any) -> bytes:
        """One event of a stream."""
        return b"data: " + encode(body) + b"\n\n"

    def completion(self, request: Request, reply: Reply, offer: Offer) -> Body:
        """A whole answer that is not streamed."""
        choice = {"index": 0, "message": self.message(request, reply), "logprobs": None}
        choice["finish_reason"] = self.finish_reason(reply)
        head = self.envelope(request, "chat.completion")
        return {**head, "choices": [choice], "usage": self.usage(request, reply, offer)}

    def message(self, request: Request, reply: Reply) -> Body:
        """The assistant's message of a whole answer."""
        message: Body = {"role": "assistant", "content": reply.text or None, "refusal": None}
        if reply.reasoning and self.reasons:
            message |= self.thoughts(request, reply)
        if reply.tool_calls:
            message["tool_calls"] = [
                {"id": self.call_id(request, n), "type": "function", **self.called(call, n)}
                for n, call in enumerate(reply.tool_calls)
            ]
        return message

    def thoughts(self, request: Request, reply: Reply) -> Body:
        """The fields of a whole message that hold the reasoning, and what goes with it."""
        return {"reasoning_content": reply.reasoning}

    def called(self, call: ToolCall, number: int) -> Body:
        """A call in a whole message, without its id."""
        return {"function": {"name": call.name, "arguments": arguments_of(call)}}

    def opening(self, request: Request) -> list[Body]:
        """The chunks before the first word."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return [self.chunk(request, choice(delta))]

    def deltas(self, request: Request, reply: Reply) -> Iterator[Body]:
        """The pieces of a streamed answer: thoughts, words, and each call with its arguments."""
        if reply.reasoning and self.reasons:
            for word in words_of(reply.reasoning):
                yield self.thought(word)
            yield from self.after_thoughts(request, reply)
        for word in words_of(reply.text):
            yield self.said(word)
        for number, call in enumerate(reply.tool_calls):
            yield from self.call(request, call, number)

    def thought(self, word: str) -> Body:
        """A piece of the reasoning."""
        return {"reasoning_content": word}

    def after_thoughts(self, request: Request, reply: Reply) -> Iterator[Body]:
        """What closes the reasoning, a signature for instance."""
        yield from ()

    def said(self, word: str) -> Body:
        """A piece of the answer."""
        return {"content": word}

    def call(self, request: Request, call: ToolCall, number: int) -> Iterator[Body]:
        """The pieces of one call."""
        opening = {"index": number, "id": self.call_id(request, number), "type": "function"}
        name = {"name": call.name, "arguments": ""}
        yield {"tool_calls": [{**opening, "function": name}]}
        for bit in bits_of(arguments_of(call)):
            yield {"tool_calls": [{"index": number, "function": {"arguments": bit}}]}

    def closing(self, request: Request, reply: Reply, offer: Offer) -> list[Body]:
        """The chunks behind the last word."""
        end = self.chunk(request, choice({}, self.finish_reason(reply)))
        if not (request.counts_tokens or self.always_counts):
            return [end]
        return [end, self.chunk(request, usage=self.usage(request, reply, offer))]

    def tail(self, request: Request, reply: Reply, offer: Offer) -> list[bytes]:
        """The events behind the last chunk."""
        return [b"data: [DONE]\n\n"]

    def counted(self, request: Request, bodies: list[Body], usage: Body) -> list[Body]:
        """The chunks of an answer with what its usage adds to each."""
        return bodies

    def chunk(self, request: Request, *choices: Body, **more: Any) -> Body:
        """One chunk of a stream."""
        empty = {"usage": None} if request.counts_tokens else {}  # until the last one
        head = self.envelope(request, "chat.completion.chunk")
        return {**head, "choices": list(choices), **empty, **more}

    def envelope(self, request: Request, kind: str) -> Body:
        """What every answer and chunk begins with."""
        return {
            "id": f"chatcmpl-{request.model}-{request.number}",
            "object": kind,
            "created": int(time.time()),
            "model": request.model,
            "system_fingerprint": None,
        }

    def finish_reason(self, reply: Reply) -> str | None:
        """Why the answer ends."""
        if reply.finish_reason != "auto":
            return reply.finish_reason
        return "tool_calls" if reply.tool_calls else "stop"

    def call_id(self, request: Request, number: int) -> str:
        """An id for a call, the same for the same request."""
        return f"call_{digest(request, number)[:24]}"

    def usage(self, request: Request, reply: Reply, offer: Offer) -> Body:
        """Tokens: four characters each, a guess that is the same every time."""
        asked = "".join(map(text_of, request.messages))
        said = reply.text + reply.reasoning + "".join(map(arguments_of, reply.tool_calls))
        prompt, completion = (max(1, len(text) // 4) for text in (asked, said))
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": len(reply.reasoning) // 4},
        }


def _error(message: str, kind: str, param: str | None, code: str | int | None) -> Body:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def choice(delta: Body, finish_reason: str | None = None) -> Body:
    """The one choice of a chunk."""
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def words_of(text: str) -> list[str]:
    """A text in pieces that are the text again."""
    return re.findall(r"\s*\S+\s*$|\s*\S+|\s+", text)


def bits_of(text: str) -> list[str]:
    """Arguments in small pieces, as models write them."""
    return re.findall(r"(?s).{1,6}", text)


def arguments_of(call: ToolCall) -> str:
    """A call's arguments as text, broken or not."""
    return call.args if isinstance(call.args, str) else json.dumps(call.args)


def digest(request: Request, number: object) -> str:
    """A name for something in the answer to a request: 32 letters and digits."""
    made_of = f"{request.model}/{request.number}/{number}"
    return blake2b(made_of.encode(), digest_size=16).hexdigest()


def signature(text: str) -> str:
    """What stands for a provider's signature of a text."""
    return f"sig-{blake2b(text.encode(), digest_size=12).hexdigest()}=="


def encode(body: Any) -> bytes:
    """A body as JSON; half a character goes out as an escape."""
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(body).encode()
