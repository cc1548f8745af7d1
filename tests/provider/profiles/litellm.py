"""LiteLLM's proxy in front of a Claude that thinks: https://docs.litellm.ai/docs/reasoning_content."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.provider.profile import Body, Profile, digest, signature
from tests.provider.rules import (
    Refusal,
    calls_are_answered,
    comes_back,
    no_empty_content,
    no_empty_tools,
    refuses,
)
from tests.provider.script import Reply, Request


def _thinking(request: Request, message: Body) -> str | None:
    reply = request.reply_that_called(message)
    if reply is None or not reply.reasoning:
        return None
    wanted = {
        "type": "thinking",
        "thinking": reply.reasoning,
        "signature": signature(reply.reasoning),
    }
    given = message.get("thinking_blocks") or [{}]
    return None if wanted.items() <= given[0].items() else "thinking_blocks"


class LiteLLM(Profile):
    """Says in one sentence what its own provider refused; wants signed thoughts back."""

    name = "litellm"
    rules = (
        # https://platform.claude.com/docs/en/build-with-claude/extended-thinking
        refuses(
            "temperature",
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our "
            "documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking",
            besides=1,
        ),
        # https://github.com/BerriAI/litellm/issues/9171
        refuses(
            "parallel_tool_calls",
            "litellm.UnsupportedParamsError: anthropic does not support parameters: "
            "['parallel_tool_calls'], for model=m. To drop these, set `litellm.drop_params=True`",
        ),
        no_empty_tools("tools: List should have at least 1 item"),
        no_empty_content("messages.{number}: {role} messages must have non-empty content"),
        calls_are_answered(
            "messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately "
            "after: {ids}.",
            stray="messages: unexpected `tool_use_id` found in `tool_result` blocks",
        ),
        # https://github.com/lbjlaq/Antigravity-Manager/issues/854
        comes_back(
            _thinking,
            "messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
            "found `tool_use`. When `thinking` is enabled, a final `assistant` message must start "
            "with a thinking block. ({lacking})",
        ),
    )

    def error(self, refusal: Refusal) -> Body:
        error = {"type": "invalid_request_error", "message": refusal.message}
        body = json.dumps({"type": "error", "error": error})
        lead = f"litellm.BadRequestError: AnthropicException - {body}"
        said = refusal.message if refusal.message.startswith("litellm.") else lead
        code = str(refusal.status)
        return {"error": {"message": said, "type": "None", "param": "None", "code": code}}

    def thoughts(self, request: Request, reply: Reply) -> Body:
        block = {"type": "thinking", "thinking": reply.reasoning}
        signed = {**block, "signature": signature(reply.reasoning)}
        return {"reasoning_content": reply.reasoning, "thinking_blocks": [signed]}

    def thought(self, word: str) -> Body:
        block = {"type": "thinking", "thinking": word, "signature": ""}
        return {"reasoning_content": word, "thinking_blocks": [block]}

    def after_thoughts(self, request: Request, reply: Reply) -> Iterator[Body]:
        signed = {"type": "thinking", "thinking": "", "signature": signature(reply.reasoning)}
        yield {"reasoning_content": "", "thinking_blocks": [signed]}

    def call_id(self, request: Request, number: int) -> str:
        return f"toolu_{digest(request, number)[:24]}"


PROFILE = LiteLLM()
