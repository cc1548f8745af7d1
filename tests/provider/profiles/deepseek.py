"""DeepSeek: https://api-docs.deepseek.com/api/create-chat-completion."""

from __future__ import annotations

from tests.provider.offer import Offer
from tests.provider.profile import Body, Profile, choice
from tests.provider.rules import (
    calls_are_answered,
    comes_back,
    no_answer_schema,
    no_empty_tools,
    schemas_are_objects,
)
from tests.provider.script import Reply, Request


def _reasoning(request: Request, message: Body) -> str | None:
    # https://api-docs.deepseek.com/guides/thinking_mode#tool-calls
    reply = request.reply_that_called(message)
    wanted = reply.reasoning if reply else ""
    return None if (message.get("reasoning_content") or "") == wanted else "reasoning_content"


class DeepSeek(Profile):
    """Wants back what it thought, as long as the tools of a turn are at work."""

    name = "deepseek"
    # "SSE keep-alive comments": https://api-docs.deepseek.com/quick_start/rate_limit
    lead = Profile.comment
    rules = (
        # It has `text` and `json_object`: "response_format" in the reference
        no_answer_schema("This response_format type is unavailable now"),
        no_empty_tools("[] is too short - 'tools'"),
        schemas_are_objects("Invalid schema for function '{name}': schema must be an object"),
        calls_are_answered(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. (insufficient tool messages following tool_calls message)",
            stray="Messages with role 'tool' must be a response to a preceding message with "
            "'tool_calls'",
        ),
        # https://github.com/continuedev/continue/issues/10193
        comes_back(
            _reasoning,
            "Missing `{lacking}` field in the assistant message at message index {number}. For "
            "more information, please refer to "
            "https://api-docs.deepseek.com/guides/thinking_mode#tool-calls",
        ),
    )

    # The other of the two fields is null: "streaming" in the guide above.

    def thought(self, word: str) -> Body:
        return {"content": None, "reasoning_content": word}

    def said(self, word: str) -> Body:
        return {"content": word, "reasoning_content": None}

    def closing(self, request: Request, reply: Reply, offer: Offer) -> list[Body]:
        usage = self.usage(request, reply, offer)
        end = choice({"content": "", "reasoning_content": None}, self.finish_reason(reply))
        if not request.counts_tokens:
            # It comes all the same, with the last word: see the example in the reference.
            return [self.chunk(request, end, usage=usage)]
        return [self.chunk(request, end), self.chunk(request, usage=usage)]


PROFILE = DeepSeek()
