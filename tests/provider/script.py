"""What a test writes down: the answers a model gives, the ways it fails, and what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

FaultName = Literal[
    # refused with a status and a JSON error, as an HTTP status by itself is
    "moderation",  # 403: the input was flagged (a bare 403 speaks of the key)
    "no_tools",  # 404: no endpoint of this model takes tools
    "unknown_model",  # 400, which is how OpenRouter refuses a model id it never had
    "context_too_long",  # 400 with OpenRouter's text and no code to go by
    "context_length_exceeded",  # 400 with OpenAI's code
    # the connection
    "silent",  # accepted, and not one byte comes back
    "reset",  # the peer resets the connection before it answers
    "stall",  # the head and `after` pieces, then silence; after=0 is "no first token"
    "keepalive",  # the same, but comments (or white space) keep coming
    "cut",  # the socket is closed in mid-answer
    "reset_in_stream",  # the same with a reset, which clients report otherwise
    # a 200 that is none
    "error_in_200",
    "error_in_stream",  # after `after` pieces; not streamed, it is an error_in_200
    "html",
    "not_json",
    "no_choices",
    "no_finish",  # a clean end, but no finish_reason
    # a whole answer that nobody can use
    "empty",
    "content_filter",
    "broken_tool_json",
    "unknown_tool",
    "wrong_arguments",
]

STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529)
EVERY_FAULT: tuple[int | FaultName, ...] = (*STATUSES, *get_args(FaultName))


@dataclass(frozen=True)
class ToolCall:
    """One call a model asks for. A string as `args` goes out as it stands, so it may be broken."""

    name: str
    args: Mapping[str, Any] | str = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """A whole answer, with the pace it is streamed at (seconds).

    `reasoning` is what the model thought before it; how that is written is the profile's matter.
    `finish_reason` "auto" is `tool_calls` or `stop`; `cost` None follows from the model's prices.
    """

    text: str = ""
    tool_calls: Sequence[ToolCall] = ()
    finish_reason: str | None = "auto"
    first_token: float = 0.0
    between: float = 0.0
    cost: float | None = None
    reasoning: str = ""


@dataclass(frozen=True)
class Fault:
    """A way to fail: an HTTP status, or one of `FaultName`.

    `after` counts the pieces of `reply` (a word, a bit of a tool's arguments) that a stream gives
    before it breaks; without `reply` it is the echo that breaks. `code` is what an error inside a
    200 carries, and the status of an HTML page. A 429 or 503 says when to come back in seconds
    (`retry_after`: the Retry-After header; `reset_after`: X-RateLimit-Reset, milliseconds since the
    epoch); `account_wide` makes it the daily limit on all free models.
    """

    kind: int | FaultName
    after: int = 2
    reply: Reply | None = None
    code: int | None = None
    retry_after: float | None = None
    reset_after: float | None = None
    account_wide: bool = False
    message: str | None = None

    @cached_property
    def reset_at(self) -> int | None:
        """When the limit is over, in ms since the epoch; fixed when it is first told."""
        return None if self.reset_after is None else int((time.time() + self.reset_after) * 1000)


Ending = Literal["complete", "cut", "reset", "stall", "keepalive"]


@dataclass(frozen=True)
class Transmission:
    """What the client's socket sees; without a `status`, the pieces alone: not even a head."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)  # (seconds before it, bytes)
    ending: Ending = "complete"
    filler: bytes = b" "  # what a keepalive repeats

    @classmethod
    def whole(cls, status: int, headers: dict[str, str], body: bytes) -> Transmission:
        return cls(status, {**headers, "Content-Length": str(len(body))}, [(0.0, body)])


@dataclass
class Request:
    """One call as it arrived. `ended` is set when it is over, `left` if it was broken off."""

    model: str
    body: dict[str, Any]
    headers: Mapping[str, str]
    number: int  # this model's first call is 0
    at: float = field(default_factory=time.monotonic)
    served: Answer | None = None
    refused: str = ""  # why, where the profile takes no such request
    earlier: Sequence[Request] = field(default=(), repr=False)  # what the provider was asked
    left: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.body.get("messages") or []
        return messages

    @property
    def tools(self) -> dict[str, dict[str, Any]]:
        """The function schemas on offer, by name."""
        return {tool["function"]["name"]: tool["function"] for tool in self.body.get("tools") or []}

    @property
    def pictures(self) -> list[str]:
        """The URLs of the pictures in the conversation, in order."""
        contents = [message.get("content") for message in self.messages]
        blocks = [block for content in contents if isinstance(content, list) for block in content]
        return [block["image_url"]["url"] for block in blocks if block["type"] == "image_url"]

    @property
    def counts_tokens(self) -> bool:
        """Whether the usage was asked for."""
        return bool((self.body.get("stream_options") or {}).get("include_usage"))

    def reply_that_called(self, message: Mapping[str, Any]) -> Reply | None:
        """The earlier reply that an assistant's message repeats, known by what it calls."""
        called = [
            _call_of(c["function"]["name"], c["function"]["arguments"])
            for c in message["tool_calls"]
        ]
        for request in reversed(self.earlier):
            reply = request.served
            if not isinstance(reply, Reply) or request.model != self.model:
                continue
            if called == [_call_of(c.name, c.args) for c in reply.tool_calls]:
                return reply
        return None


def _call_of(name: str, arguments: Mapping[str, Any] | str) -> tuple[str, Any]:
    if not isinstance(arguments, str):
        return name, dict(arguments)
    try:
        return name, json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return name, arguments


Answer = Reply | Fault | Transmission
Step = str | Answer | Callable[[Request], "str | Answer"]


def resolve(step: Step, request: Request) -> Answer:
    """The answer a step of the script gives to this request."""
    answer = step(request) if callable(step) else step
    return Reply(answer) if isinstance(answer, str) else answer
