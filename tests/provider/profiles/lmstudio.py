"""LM Studio: https://lmstudio.ai/docs/developer/openai-compat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.provider.profile import Body, Profile, arguments_of, encode
from tests.provider.rules import Refusal, choice_is_a_word, schemas_are_objects
from tests.provider.script import Request, ToolCall


class LMStudio(Profile):
    """Errors are plain texts; an error in a stream is an event of that name; ids are numbers."""

    name = "lmstudio"
    rules = (
        # https://github.com/can1357/oh-my-pi/issues/6925
        choice_is_a_word(
            "Invalid tool_choice type: 'object'. Supported string values: none, auto, required"
        ),
        # https://github.com/docker/docker-agent/issues/278
        schemas_are_objects("Invalid discriminator value. Expected 'object'", "type"),
    )

    def error(self, refusal: Refusal) -> Body:
        return {"error": refusal.message}

    def error_frame(self, request: Request, error: Any) -> bytes:
        # https://github.com/zendev-sh/goai/pull/110
        body = {"error": {"message": error["error"]}, "message": error["error"]}
        return b"event: error\n" + b"data: " + encode(body) + b"\n\n"

    def call(self, request: Request, call: ToolCall, number: int) -> Iterator[Body]:
        opening = {"index": number, "id": self.call_id(request, number), "type": "function"}
        yield {"tool_calls": [{**opening, "function": {"name": call.name, "arguments": ""}}]}
        arguments = {"arguments": arguments_of(call)}  # in one piece
        yield {"tool_calls": [{"index": number, "type": "function", "function": arguments}]}

    def call_id(self, request: Request, number: int) -> str:
        return str(int(super().call_id(request, number)[5:12], 16))


PROFILE = LMStudio()
