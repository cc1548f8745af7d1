"""Ollama: https://docs.ollama.com/api/openai-compatibility."""

from __future__ import annotations

from collections.abc import Iterator

from tests.provider.profile import Body, Profile, arguments_of, choice
from tests.provider.rules import Refusal, schemas_are_objects
from tests.provider.script import Reply, Request, ToolCall


class Ollama(Profile):
    """Ignores what it does not know; a call has no index, and its answer ends in `stop`."""

    name = "ollama"
    rules = (schemas_are_objects("invalid tool {name}: parameters must be an object", "type"),)

    def error(self, refusal: Refusal) -> Body:
        # https://github.com/ollama/ollama/blob/main/openai/openai.go, NewError
        kinds = {400: "invalid_request_error", 404: "not_found_error"}
        kind = kinds.get(refusal.status, "api_error")
        error = {"message": refusal.message, "type": kind, "param": None, "code": None}
        return {"error": error}

    def opening(self, request: Request) -> list[Body]:
        return [self.chunk(request, choice({"role": "assistant", "content": ""}))]

    def thought(self, word: str) -> Body:
        return {"role": "assistant", "content": "", "reasoning": word}

    def thoughts(self, request: Request, reply: Reply) -> Body:
        return {"reasoning": reply.reasoning}

    def said(self, word: str) -> Body:
        return {"role": "assistant", "content": word}

    def call(self, request: Request, call: ToolCall, number: int) -> Iterator[Body]:
        # https://github.com/ollama/ollama/issues/7881 and 11633: whole, without an index
        function = {"name": call.name, "arguments": arguments_of(call)}
        entry = {"id": self.call_id(request, number), "type": "function", "function": function}
        yield {"role": "assistant", "content": "", "tool_calls": [entry]}

    def finish_reason(self, reply: Reply) -> str | None:
        # The raw answer in https://github.com/ollama/ollama/issues/5796
        return "stop" if reply.finish_reason == "auto" else reply.finish_reason

    def call_id(self, request: Request, number: int) -> str:
        return super().call_id(request, number)[:13]

    def envelope(self, request: Request, kind: str) -> Body:
        named = {"id": f"chatcmpl-{request.number}", "system_fingerprint": "fp_ollama"}
        return {**super().envelope(request, kind), **named}


PROFILE = Ollama()
