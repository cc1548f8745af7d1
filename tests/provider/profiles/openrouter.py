"""OpenRouter: https://openrouter.ai/docs/api-reference/overview, …/streaming and …/errors.

It leaves out what a model does not take instead of refusing it, and always says what a call cost:
`usage.include` and `stream_options` change nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tests.provider.errors import error_body, return_headers
from tests.provider.offer import Offer
from tests.provider.profile import Body, Profile, choice, signature
from tests.provider.rules import Refusal, calls_are_answered, comes_back, no_empty_tools
from tests.provider.script import Fault, Reply, Request


def _details(request: Request, message: Body) -> str | None:
    # "preserving reasoning": https://openrouter.ai/docs/use-cases/reasoning-tokens
    # What is said otherwise: https://github.com/OpenRouterTeam/ai-sdk-provider/issues/339
    reply = request.reply_that_called(message)
    if reply is None or not reply.reasoning:
        return None
    given = message.get("reasoning_details") or [{}]
    whole = {"text": reply.reasoning, "signature": signature(reply.reasoning)}
    return None if whole.items() <= given[0].items() else "reasoning_details"


class OpenRouter(Profile):
    """The default: what most of the tests are asked by."""

    name = "openrouter"
    comment = b": OPENROUTER PROCESSING\n\n"
    lead = comment
    content_type = "text/event-stream"
    always_counts = True
    rules = (
        no_empty_tools("[] is too short - 'tools'"),
        calls_are_answered(
            "No tool output found for function call {ids}.",
            stray="No tool call found for function call output.",
        ),
        comes_back(
            _details,
            "messages.{number}.content.0: `thinking` or `redacted_thinking` blocks in the latest "
            "assistant message cannot be modified ({lacking})",
        ),
    )

    def error(self, refusal: Refusal) -> Body:
        raw = {"raw": f'{{"error":{{"message":"{refusal.message}"}}}}', "provider_name": "Fake"}
        return {
            "error": {"message": "Provider returned error", "code": refusal.status, "metadata": raw}
        }

    def failure(self, fault: Fault, code: int | str, request: Request) -> Body:
        return error_body(fault, code, request)

    def limits(self, fault: Fault) -> dict[str, str]:
        return return_headers(fault)

    def error_frame(self, request: Request, error: Any) -> bytes:
        # "Errors during streaming": beside a choice that ends with `error`.
        return self.frame(self.chunk(request, choice({"content": ""}, "error"), **error))

    def thoughts(self, request: Request, reply: Reply) -> Body:
        details = [*self._details(reply.reasoning), *self._signed(reply)]
        whole = {key: value for each in details for key, value in each.items()}
        return {"reasoning": reply.reasoning, "reasoning_details": [whole]}

    def thought(self, word: str) -> Body:
        return {"content": "", "reasoning": word, "reasoning_details": self._details(word)}

    def after_thoughts(self, request: Request, reply: Reply) -> Iterator[Body]:
        yield {"content": "", "reasoning": None, "reasoning_details": self._signed(reply)}

    def _details(self, text: str) -> list[Body]:
        return [{"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}]

    def _signed(self, reply: Reply) -> list[Body]:
        signed = {"signature": signature(reply.reasoning), "format": "unknown", "index": 0}
        return [{"type": "reasoning.text", **signed}]

    def message(self, request: Request, reply: Reply) -> Body:
        message = super().message(request, reply)
        del message["refusal"]
        for number, call in enumerate(message.get("tool_calls", ())):
            call["index"] = number
        return message

    def opening(self, request: Request) -> list[Body]:
        return [self.chunk(request, choice({"role": "assistant"}))]

    def chunk(self, request: Request, *choices: Body, **more: Any) -> Body:
        head = self.envelope(request, "chat.completion.chunk")
        return {**head, "choices": list(choices), **more}

    def envelope(self, request: Request, kind: str) -> Body:
        return {
            "id": f"gen-{request.model}-{request.number}",
            "provider": "Fake",
            "model": request.model,
            "object": kind,
            "created": int(time.time()),
        }

    def usage(self, request: Request, reply: Reply, offer: Offer) -> Body:
        """Tokens and what they cost: https://openrouter.ai/docs/use-cases/usage-accounting."""
        usage = super().usage(request, reply, offer)
        price = usage["prompt_tokens"] * float(offer.prompt_price)
        price += usage["completion_tokens"] * float(offer.completion_price)
        return {**usage, "cost": price if reply.cost is None else reply.cost, "is_byok": False}


PROFILE = OpenRouter()
