"""Anthropic's endpoint for OpenAI's clients: https://platform.claude.com/docs/en/api/openai-sdk.

Of the fields that it does not know it ignores most. What it refuses is what its own Messages API
refuses, once the request is translated. It shows no reasoning, and wants none back.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.provider.profile import Body, Profile, digest
from tests.provider.rules import (
    Refusal,
    calls_are_answered,
    ends_with,
    no_empty_content,
    refuses,
    schemas_are_objects,
    tool_names,
)
from tests.provider.script import Fault, Request

# https://platform.claude.com/docs/en/api/errors
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Anthropic(Profile):
    """Strict with the conversation, easy with the parameters."""

    name = "anthropic"
    reasons = False
    rules = (
        refuses("n", "n: must be exactly 1", besides=1),
        # https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use
        tool_names(
            r"[a-zA-Z0-9_-]{1,64}",
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'",
        ),
        schemas_are_objects("tools.{number}.custom.input_schema.type: Field required", "type"),
        # https://platform.claude.com/docs/en/api/messages
        no_empty_content("messages.{number}: {role} messages must have non-empty content"),
        # https://github.com/anthropics/claude-code/issues/8210
        calls_are_answered(
            "messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately "
            "after: {ids}. Each `tool_use` block must have a corresponding `tool_result` block in "
            "the next message.",
            stray="messages: unexpected `tool_use_id` found in `tool_result` blocks",
        ),
        ends_with(
            {"user", "tool"},
            "This model does not support assistant message prefill. The conversation must end "
            "with a user message. (last role: {role})",
        ),
    )

    def error(self, refusal: Refusal) -> Body:
        kind = KINDS.get(refusal.status, "api_error")
        return {"error": {"code": kind, "message": refusal.message, "type": kind, "param": None}}

    def limits(self, fault: Fault) -> dict[str, str]:
        # https://platform.claude.com/docs/en/api/rate-limits#response-headers: RFC 3339
        headers = {}
        if fault.retry_after is not None:
            headers["retry-after"] = f"{fault.retry_after:g}"
        if fault.reset_after is not None:
            reset = datetime.now(UTC) + timedelta(seconds=fault.reset_after)
            headers["anthropic-ratelimit-requests-remaining"] = "0"
            headers["anthropic-ratelimit-requests-reset"] = reset.strftime("%Y-%m-%dT%H:%M:%SZ")
        return headers

    def call_id(self, request: Request, number: int) -> str:
        return f"toolu_{digest(request, number)[:24]}"


PROFILE = Anthropic()
