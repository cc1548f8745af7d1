"""vLLM with a strict chat template: https://docs.vllm.ai/en/stable/serving/openai_compatible_server."""

from __future__ import annotations

from collections.abc import Iterator

from tests.provider.profile import Body, Profile, arguments_of, bits_of, choice, digest
from tests.provider.profiles.openai import PARAMETERS
from tests.provider.rules import (
    Refusal,
    calls_are_answered,
    choice_needs_tools,
    knows_only,
    no_empty_tools,
    roles_alternate,
    system_first,
    usage_only_in_streams,
)
from tests.provider.script import Request, ToolCall

ALTERNATE = (
    "After the optional system message, conversation roles must alternate user/assistant/user/"
    "assistant/..."
)


class VLLM(Profile):
    """An older one: knows one name of the limit, and gives each call the index 0."""

    name = "vllm"
    rules = (
        # https://github.com/1Panel-dev/MaxKB/issues/2912
        knows_only(
            PARAMETERS - {"max_completion_tokens"},
            "[{{'type': 'extra_forbidden', 'loc': ('body', '{name}'), "
            "'msg': 'Extra inputs are not permitted'}}]",
        ),
        usage_only_in_streams("Stream options can only be defined when `stream=True`."),
        no_empty_tools("`tools` must not be an empty array. Either provide at least one tool."),
        choice_needs_tools("When using `{name}`, `tools` must be set."),
        # https://github.com/suitenumerique/conversations/issues/197
        system_first(ALTERNATE),
        # https://github.com/vllm-project/vllm/issues/6862
        roles_alternate(ALTERNATE),
        calls_are_answered(
            "Not the same number of function calls and responses: {ids}",
            stray="Unexpected role 'tool' after role 'user'",
        ),
    )

    def error(self, refusal: Refusal) -> Body:
        return {
            "object": "error",
            "message": refusal.message,
            "type": "BadRequestError",
            "param": None,
            "code": refusal.status,
        }

    def opening(self, request: Request) -> list[Body]:
        first = {**choice({"role": "assistant", "content": ""}), "logprobs": None}
        return [self.chunk(request, first)]

    def call(self, request: Request, call: ToolCall, number: int) -> Iterator[Body]:
        # https://github.com/InternLM/lmdeploy/issues/3412
        name = {"name": call.name, "arguments": ""}
        opening = {"index": 0, "id": self.call_id(request, number), "type": "function"}
        yield {"tool_calls": [{**opening, "function": name}]}
        for bit in bits_of(arguments_of(call)):
            function = {"name": None, "arguments": bit}
            yield {"tool_calls": [{"index": 0, "id": "", "type": "function", "function": function}]}

    def call_id(self, request: Request, number: int) -> str:
        return f"chatcmpl-tool-{digest(request, number)}"


PROFILE = VLLM()
