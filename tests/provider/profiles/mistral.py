"""Mistral: https://docs.mistral.ai/api/endpoint/chat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.provider.offer import Offer
from tests.provider.profile import Body, Profile, arguments_of, choice, digest
from tests.provider.rules import (
    Refusal,
    call_ids,
    calls_are_answered,
    ends_with,
    knows_only,
    message_fields,
    no_empty_content,
    no_empty_tools,
    no_user_after_tool,
)
from tests.provider.script import Reply, Request, ToolCall

# The fields of the reference: no `max_completion_tokens`, no `stream_options`, no `user`.
PARAMETERS = {
    *("model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed"),
    *("metadata", "response_format", "tools", "tool_choice", "presence_penalty", "n"),
    *("frequency_penalty", "prediction", "parallel_tool_calls", "prompt_mode", "safe_prompt"),
    *("reasoning_effort", "guardrails", "prompt_cache_key"),
}
MESSAGE_FIELDS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "prefix"},
    "tool": {"role", "content", "tool_call_id", "name"},
}

KINDS: dict[object, str] = {
    "3230": "invalid_request_message_order",
    "3280": "invalid_function_call",
}


class Mistral(Profile):
    """Refuses every field it does not know; thinks in blocks of the content."""

    name = "mistral"
    always_counts = True
    rules = (
        # https://github.com/editor-code-assistant/eca/issues/231
        knows_only(PARAMETERS, "Extra inputs are not permitted"),
        # https://github.com/partITech/php-mistral/issues/76
        no_empty_tools("Extra inputs are not permitted"),
        # https://github.com/charmbracelet/crush/issues/1590
        message_fields(MESSAGE_FIELDS, "Extra inputs are not permitted"),
        # https://github.com/avante-corp/avante.nvim/pull/2695
        no_user_after_tool("Unexpected role 'user' after role 'tool'"),
        ends_with(
            {"user", "tool"},
            # https://github.com/0xPlaygrounds/rig/pull/1130
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got "
            "{role}",
        ),
        # https://github.com/OpenHands/OpenHands/issues/8685
        no_empty_content("Assistant message must have either content or tool_calls, but not none."),
        # https://github.com/nearai/ironclaw/issues/1241
        call_ids(
            r"[a-zA-Z0-9]{9}",
            "Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.",
            code="3280",
        ),
        calls_are_answered(
            "Not the same number of function calls and responses",
            # https://github.com/mistralai/mistral-inference/issues/135
            stray="Unexpected role 'tool' after role 'user'",
        ),
    )

    def refusal(self, request: Request) -> Refusal | None:
        refusal = super().refusal(request)
        extra = refusal is not None and refusal.loc
        return replace(refusal, status=422) if refusal and extra else refusal

    def error(self, refusal: Refusal) -> Body:
        message: Any = refusal.message
        if refusal.loc:
            detail = {"type": "extra_forbidden", "loc": list(refusal.loc), "msg": message}
            message = {"detail": [{**detail, "input": refusal.input}]}
        kind = KINDS.get(refusal.code, "invalid_request_error")
        return {
            "object": "error",
            "message": message,
            "type": kind,
            "param": None,
            "code": refusal.code,
        }

    # https://docs.mistral.ai/capabilities/reasoning, and the stream in
    # https://github.com/BerriAI/litellm/issues/16272

    def thoughts(self, request: Request, reply: Reply) -> Body:
        answer = [{"type": "text", "text": reply.text}] if reply.text else []
        return {"content": [*self.thought(reply.reasoning)["content"], *answer]}

    def thought(self, word: str) -> Body:
        return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": word}]}]}

    def said(self, word: str) -> Body:
        return {"content": word}

    def call(self, request: Request, call: ToolCall, number: int) -> Iterator[Body]:
        # Whole, and all in the chunk that ends the answer: see `closing`.
        yield from ()

    def closing(self, request: Request, reply: Reply, offer: Offer) -> list[Body]:
        delta: Body = {"content": ""}
        if reply.tool_calls:
            delta["tool_calls"] = [
                {
                    "id": self.call_id(request, number),
                    "function": {"name": call.name, "arguments": arguments_of(call)},
                    "index": number,
                }
                for number, call in enumerate(reply.tool_calls)
            ]
        end = choice(delta, self.finish_reason(reply))
        return [self.chunk(request, end, usage=self.usage(request, reply, offer))]

    def call_id(self, request: Request, number: int) -> str:
        return digest(request, number)[:9]


PROFILE = Mistral()
