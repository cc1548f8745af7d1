"""Databricks, a Claude endpoint of its model serving.

https://learn.microsoft.com/azure/databricks/machine-learning/foundation-models/api-reference
"""

from __future__ import annotations

from tests.provider.profile import Body, Profile, digest, signature
from tests.provider.rules import (
    Refusal,
    calls_are_answered,
    no_empty_content,
    no_empty_tools,
    refuses,
    schemas_are_objects,
    tool_names,
)
from tests.provider.script import Reply, Request


class Databricks(Profile):
    """Knows no `stream_options`; counts in every chunk; thinks in blocks; packs its bodies."""

    name = "databricks"
    always_counts = True
    # `content-encoding: gzip` in https://github.com/anomalyco/opencode/issues/4698
    gzip = True
    rules = (
        # https://github.com/continuedev/continue/issues/12936
        refuses("stream_options", 'Bad request: json: unknown field "stream_options"\n'),
        no_empty_tools("tools: List should have at least 1 item"),
        tool_names(
            r"[a-zA-Z0-9_-]{1,64}",
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'",
        ),
        schemas_are_objects("tools.{number}.custom.input_schema.type: Field required", "type"),
        no_empty_content("messages.{number}: {role} messages must have non-empty content"),
        # https://github.com/BerriAI/litellm/pull/31633
        calls_are_answered(
            "Invalid parameter: tool calls must be followed by their results: {ids}",
            stray="Invalid parameter: messages with role 'tool' must be a response to a preceding "
            "message with 'tool_calls'.",
        ),
    )

    def error(self, refusal: Refusal) -> Body:
        codes = {400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
        codes |= {404: "NOT_FOUND", 429: "REQUEST_LIMIT_EXCEEDED", 503: "TEMPORARILY_UNAVAILABLE"}
        code = codes.get(refusal.status, "INTERNAL_ERROR")
        return {"error_code": code, "message": refusal.message}

    # https://docs.databricks.com/aws/en/machine-learning/model-serving/query-reason-models

    def thoughts(self, request: Request, reply: Reply) -> Body:
        summary = {"type": "summary_text", "text": reply.reasoning}
        signed = {**summary, "signature": signature(reply.reasoning)}
        answer = [{"type": "text", "text": reply.text}] if reply.text else []
        return {"content": [{"type": "reasoning", "summary": [signed]}, *answer]}

    def thought(self, word: str) -> Body:
        summary = {"type": "summary_text", "text": word, "signature": ""}
        return {"content": [{"type": "reasoning", "summary": [summary]}]}

    def said(self, word: str) -> Body:
        return {"content": [{"type": "text", "text": word}]}

    def counted(self, request: Request, bodies: list[Body], usage: Body) -> list[Body]:
        # "usage: … each chunk" of the streaming response in the reference
        return [
            {**body, "usage": growing(usage, n, len(bodies))} for n, body in enumerate(bodies, 1)
        ]

    def call_id(self, request: Request, number: int) -> str:
        return f"toolu_bdrk_{digest(request, number)[:24]}"


def growing(usage: Body, done: int, of: int) -> Body:
    """The usage when so many of the chunks were sent."""
    written = usage["completion_tokens"] * done // of
    read = usage["prompt_tokens"]
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


PROFILE = Databricks()
