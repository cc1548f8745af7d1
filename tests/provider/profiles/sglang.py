"""SGLang: https://docs.sglang.ai/basic_usage/openai_api_completions.html."""

from __future__ import annotations

from collections.abc import Iterator

from tests.provider.offer import Offer
from tests.provider.profile import Body, Profile, arguments_of, bits_of, choice
from tests.provider.rules import Refusal, calls_are_answered, no_empty_tools, system_first
from tests.provider.script import Reply, Request, ToolCall


class SGLang(Profile):
    """Every field in every chunk, mostly null; numbers instead of ids; each call has index 0."""

    name = "sglang"
    rules = (
        no_empty_tools("List should have at least 1 item after validation, not 0"),
        system_first("System message must be at the beginning."),
        calls_are_answered("Tool calls without results: {ids}", stray="Unexpected role 'tool'"),
    )

    def error(self, refusal: Refusal) -> Body:
        return {
            "object": "error",
            "message": refusal.message,
            "type": "BadRequest",
            "param": None,
            "code": refusal.status,
        }

    # https://github.com/sgl-project/sglang/issues/6310 has the raw chunks

    def opening(self, request: Request) -> list[Body]:
        return [self.chunk(request, choice(self._delta(role="assistant", content="")))]

    def thought(self, word: str) -> Body:
        return self._delta(reasoning_content=word)

    def said(self, word: str) -> Body:
        return self._delta(content=word)

    def call(self, request: Request, call: ToolCall, number: int) -> Iterator[Body]:
        # https://github.com/InternLM/lmdeploy/issues/3412, and the empty name in
        # https://github.com/sgl-project/sglang/issues/4700
        pieces = [(call.name, ""), *(("", bit) for bit in bits_of(arguments_of(call)))]
        for name, bit in pieces:
            entry = {"id": self.call_id(request, number), "index": 0, "type": "function"}
            function = {"name": name, "arguments": bit}
            yield self._delta(tool_calls=[{**entry, "function": function}])

    def call_id(self, request: Request, number: int) -> str:
        return str(number)

    def closing(self, request: Request, reply: Reply, offer: Offer) -> list[Body]:
        end = {**choice(self._delta(), self.finish_reason(reply)), "matched_stop": 151645}
        usage = self.chunk(request, usage=self.usage(request, reply, offer))
        return [self.chunk(request, end), *([usage] if request.counts_tokens else [])]

    def _delta(self, **said: object) -> Body:
        empty = dict.fromkeys(("role", "content", "reasoning_content", "tool_calls"))
        return {**empty, **said}


PROFILE = SGLang()
