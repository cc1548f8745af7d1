"""Gemini's endpoint for OpenAI's clients: https://ai.google.dev/gemini-api/docs/openai."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.provider.errors import message_of
from tests.provider.offer import Offer
from tests.provider.profile import Body, Profile, arguments_of, choice, signature
from tests.provider.profiles.openai import PARAMETERS
from tests.provider.rules import (
    Refusal,
    calls_are_answered,
    comes_back,
    knows_only,
    no_answer_schema,
    no_empty_content,
    no_empty_tools,
)
from tests.provider.script import Fault, Reply, Request, ToolCall

STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
STATUS |= {404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


def _signature(request: Request, message: Body) -> str | None:
    # The first call of a step is signed: https://ai.google.dev/gemini-api/docs/thought-signatures
    first = message["tool_calls"][0]
    if request.reply_that_called(message) is None:
        return None  # another model's call
    given = first.get("extra_content", {}).get("google", {}).get("thought_signature")
    name = first["function"]["name"]
    return None if given == signature(name) else f"function call `default_api:{name}`"


class Gemini(Profile):
    """Whole calls, all with the index 0; signs the first of them, and wants that back."""

    name = "gemini"
    rules = (
        no_answer_schema(
            "Function calling with a response mime type: 'application/json' is unsupported",
            with_tools=True,
        ),
        knows_only(
            PARAMETERS | {"extra_body"},
            'Invalid JSON payload received. Unknown name "{name}": Cannot find field.',
        ),
        no_empty_tools("GenerateContentRequest.tools[0]: must not be empty"),
        no_empty_content(
            "GenerateContentRequest.contents[{number}].parts: contents.parts must not be empty."
        ),
        # https://github.com/google-gemini/gemini-cli/issues/5443
        calls_are_answered(
            "Please ensure that the number of function response parts is equal to the number of "
            "function call parts of the function call turn.",
            stray="Please ensure that function response turn comes immediately after a function "
            "call turn.",
        ),
        # https://github.com/tinyhumansai/openhuman/issues/3548
        comes_back(
            _signature,
            "Function call is missing a thought_signature in functionCall parts. This is required "
            "for tools to work correctly. Additional data, {lacking}, position {number}.",
        ),
    )

    def error(self, refusal: Refusal) -> Any:
        # A list: https://github.com/securo-finance/securo/issues/884
        return [self._error(refusal.status, refusal.message)]

    def failure(self, fault: Fault, code: int | str, request: Request) -> Any:
        status = code if isinstance(code, int) else 400
        error = self._error(status, message_of(fault, code, request))
        if fault.retry_after is not None:
            # https://ai.google.dev/gemini-api/docs/troubleshooting; google.rpc.RetryInfo
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            error["error"]["details"] = [{"@type": kind, "retryDelay": f"{fault.retry_after:g}s"}]
        return [error]

    def limits(self, fault: Fault) -> dict[str, str]:
        return {}

    def _error(self, status: int, message: str) -> Body:
        return {
            "error": {"code": status, "message": message, "status": STATUS.get(status, "UNKNOWN")}
        }

    # Thoughts come in the text of the answer, marked by `extra_content`, and only when asked for
    # by `extra_body`: so none are shown here.
    reasons = False

    def opening(self, request: Request) -> list[Body]:
        return []

    def said(self, word: str) -> Body:
        return {"role": "assistant", "content": word}

    def called(self, call: ToolCall, number: int) -> Body:
        return {**super().called(call, number), **self._signed(call, number)}

    def call(self, request: Request, call: ToolCall, number: int) -> Iterator[Body]:
        # All with one index: https://github.com/su-kaka/gcli2api/pull/406
        function = {"name": call.name, "arguments": arguments_of(call)}
        entry = {"index": 0, "id": self.call_id(request, number), "type": "function"}
        signed = self._signed(call, number)
        yield {"role": "assistant", "tool_calls": [{**entry, "function": function, **signed}]}

    def _signed(self, call: ToolCall, number: int) -> Body:
        signed = {"google": {"thought_signature": signature(call.name)}}
        return {} if number else {"extra_content": signed}

    def call_id(self, request: Request, number: int) -> str:
        return f"function-call-{int(super().call_id(request, number)[5:20], 16)}"

    def closing(self, request: Request, reply: Reply, offer: Offer) -> list[Body]:
        end = choice({"role": "assistant"}, self.finish_reason(reply))
        usage = self.usage(request, reply, offer)
        return [self.chunk(request, end, **({"usage": usage} if request.counts_tokens else {}))]


PROFILE = Gemini()
