"""llama.cpp's server: https://github.com/ggml-org/llama.cpp/tree/master/tools/server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.provider.offer import Offer
from tests.provider.profile import Body, Profile, choice, digest, encode
from tests.provider.rules import (
    Refusal,
    no_answer_schema,
    roles_alternate,
    schemas_are_objects,
    system_first,
)
from tests.provider.script import Reply, Request


class LlamaCpp(Profile):
    """Its template refuses with a 500; an error in a stream is a line of its own kind."""

    name = "llamacpp"
    rules = (
        # `common_chat_params_init` of its source
        no_answer_schema("Cannot use custom grammar constraints with tools.", with_tools=True),
        # https://github.com/joshuadavidthomas/opencode-agent-memory/issues/11
        system_first("Error: Jinja Exception: System message must be at the beginning."),
        # https://github.com/ggml-org/llama.cpp/issues/19851
        roles_alternate(
            "Error: Jinja Exception: After the optional system message, conversation roles must "
            "alternate user and assistant roles except for tool calls and results."
        ),
        schemas_are_objects("Failed to convert the schema of {name} to a grammar"),
    )

    def refusal(self, request: Request) -> Refusal | None:
        refusal = super().refusal(request)
        return replace(refusal, status=500) if refusal else None

    def error(self, refusal: Refusal) -> Body:
        kind = "invalid_request_error" if refusal.status < 500 else "server_error"
        return {"error": {"code": refusal.status, "message": refusal.message, "type": kind}}

    def error_frame(self, request: Request, error: Any) -> bytes:
        # Until https://github.com/ggml-org/llama.cpp/pull/16109, as in
        # https://github.com/coddy-project/coddy-agent/pull/106
        return b"error: " + encode(error["error"]) + b"\n\ndata: [DONE]\n\n"

    def message(self, request: Request, reply: Reply) -> Body:
        message = super().message(request, reply)
        for call, asked in zip(message.get("tool_calls", ()), reply.tool_calls, strict=False):
            call["function"]["arguments"] = asked.args  # as an object, not as text
        return message

    def opening(self, request: Request) -> list[Body]:
        return [self.chunk(request, choice({"role": "assistant", "content": None}))]

    def closing(self, request: Request, reply: Reply, offer: Offer) -> list[Body]:
        chunks = super().closing(request, reply, offer)
        timings = {"predicted_n": 3, "predicted_ms": 12.5, "predicted_per_second": 240.0}
        return [*chunks[:-1], {**chunks[-1], "timings": timings}]

    def call_id(self, request: Request, number: int) -> str:
        return digest(request, number)


PROFILE = LlamaCpp()
