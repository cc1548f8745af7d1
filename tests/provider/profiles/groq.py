"""Groq: https://console.groq.com/docs/openai and https://console.groq.com/docs/api-reference."""

from __future__ import annotations

from collections.abc import Iterator

from tests.provider.offer import Offer
from tests.provider.profile import Body, Profile, arguments_of
from tests.provider.profiles.openai import PARAMETERS
from tests.provider.rules import (
    Refusal,
    calls_are_answered,
    choice_needs_tools,
    knows_only,
    message_fields,
    no_answer_schema,
    no_empty_tools,
    refuses,
)
from tests.provider.script import Fault, Reply, Request, ToolCall

MESSAGE_FIELDS = {
    "system": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "reasoning"},
    "tool": {"role", "content", "tool_call_id", "name"},
}


class Groq(Profile):
    """Whole calls; reasoning under a name of its own; the usage in a field of its own as well."""

    name = "groq"
    rules = (
        no_answer_schema(
            "json mode cannot be combined with tool/function calling", with_tools=True
        ),
        knows_only(
            PARAMETERS | {"reasoning_format", "include_reasoning"},
            "property '{name}' is unsupported",
        ),
        # "currently unsupported OpenAI features" of the first page above
        refuses("logprobs", "logprobs is not supported with this model"),
        refuses("logit_bias", "logit_bias is not supported with this model"),
        refuses("n", "'n' : number must be at most 1", besides=1),
        no_empty_tools("'tools' : minimum number of items is 1"),
        choice_needs_tools("'{name}' may only be used with tools"),
        # https://github.com/tashfeenahmed/freellmapi/issues/1070
        message_fields(
            MESSAGE_FIELDS,
            "'messages.{number}' : for 'role:{role}' the following must be satisfied"
            "[('messages.{number}' : property '{name}' is unsupported)]",
        ),
        calls_are_answered(
            "'messages.{number}' : tool calls must be followed by their results: {ids}",
            stray="tool call id not found in the messages before",
        ),
    )

    def error(self, refusal: Refusal) -> Body:
        # https://console.groq.com/docs/errors
        kind = "invalid_request_error" if refusal.status < 500 else "internal_server_error"
        error = {"message": refusal.message, "type": kind}
        return {"error": error | ({"code": refusal.code} if refusal.code else {})}

    def limits(self, fault: Fault) -> dict[str, str]:
        # https://console.groq.com/docs/rate-limits#rate-limit-headers: "2m59.56s", "7.66s"
        headers = {}
        if fault.retry_after is not None:
            headers["retry-after"] = f"{fault.retry_after:g}"
        if fault.reset_after is not None:
            minutes, seconds = divmod(fault.reset_after, 60)
            headers["x-ratelimit-reset-requests"] = f"{minutes:g}m{seconds:g}s"
            headers["x-ratelimit-remaining-requests"] = "0"
        return headers

    def limit_in_words(self, seconds: float) -> str:
        return f"Please try again in {seconds:g}s."

    # https://console.groq.com/docs/reasoning: `reasoning_format` parsed, which tools need

    def thoughts(self, request: Request, reply: Reply) -> Body:
        return {"reasoning": reply.reasoning}

    def thought(self, word: str) -> Body:
        return {"reasoning": word, "channel": "analysis"}

    def call(self, request: Request, call: ToolCall, number: int) -> Iterator[Body]:
        function = {"name": call.name, "arguments": arguments_of(call)}
        call_id = self.call_id(request, number)
        entry = {"id": call_id, "type": "function", "function": function, "index": number}
        yield {"tool_calls": [entry]}

    def call_id(self, request: Request, number: int) -> str:
        return super().call_id(request, number)[:9]

    def opening(self, request: Request) -> list[Body]:
        (first,) = super().opening(request)
        return [{**first, "x_groq": {"id": f"req_{request.number}"}}]

    def closing(self, request: Request, reply: Reply, offer: Offer) -> list[Body]:
        end, *rest = super().closing(request, reply, offer)
        counted = {"id": f"req_{request.number}", "usage": self.usage(request, reply, offer)}
        return [{**end, "x_groq": counted}, *rest]


PROFILE = Groq()
