"""OpenAI, a model that does not reason: https://platform.openai.com/docs/api-reference/chat/create.

What it takes is read from the published types of its own client, so that they stay its own words.
Texts of refusals are those that users report, each beside its rule.
"""

from __future__ import annotations

from typing import Any

from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionDeveloperMessageParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from tests.provider.profile import Body, Profile, digest
from tests.provider.rules import (
    Rule,
    answer_schemas_are_closed,
    call_ids,
    calls_are_answered,
    choice_needs_tools,
    knows_only,
    message_fields,
    no_empty_tools,
    one_limit,
    schemas_are_objects,
    tool_names,
    usage_only_in_streams,
)
from tests.provider.script import Fault, Request


def keys_of(typed_dict: Any) -> frozenset[str]:
    """The fields of a published request type."""
    keys: frozenset[str] = typed_dict.__required_keys__ | typed_dict.__optional_keys__
    return keys


PARAMETERS = keys_of(CompletionCreateParamsStreaming)
MESSAGE_FIELDS = {
    "system": keys_of(ChatCompletionSystemMessageParam),
    "developer": keys_of(ChatCompletionDeveloperMessageParam),
    "user": keys_of(ChatCompletionUserMessageParam),
    "assistant": keys_of(ChatCompletionAssistantMessageParam),
    "tool": keys_of(ChatCompletionToolMessageParam),
}

RULES: tuple[Rule, ...] = (
    # https://github.com/openinterpreter/openinterpreter/issues/618
    knows_only(PARAMETERS, "Unrecognized request argument supplied: {name}"),
    one_limit(
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
    ),
    # stream_options, "only set this when you set stream: true" in the reference
    usage_only_in_streams(
        "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    ),
    # https://github.com/baptisteArno/typebot.io/issues/1205
    no_empty_tools("[] is too short - 'tools'"),
    # "Supported schemas": https://platform.openai.com/docs/guides/structured-outputs
    answer_schemas_are_closed(
        "Invalid schema for response_format '{name}': schema must be a JSON Schema of "
        "'type: \"object\"'.",
        "Invalid schema for response_format '{name}': In context=(), 'additionalProperties' is "
        "required to be supplied and to be false.",
    ),
    # "`none` is the default when no tools are present" in the reference
    choice_needs_tools("'{name}' is only allowed when 'tools' are specified."),
    # FunctionDefinition of the client: "a-z, A-Z, 0-9, or contain underscores and dashes, with a
    # maximum length of 64"
    tool_names(
        r"[a-zA-Z0-9_-]{1,64}",
        "Invalid '{place}': string does not match pattern. Expected a string that matches the "
        "pattern '^[a-zA-Z0-9_-]+$'.",
    ),
    # https://github.com/spring-projects/spring-ai/issues/4776
    schemas_are_objects(
        "Invalid schema for function '{name}': In context=(), object schema missing properties.",
        "properties",
    ),
    message_fields(MESSAGE_FIELDS, "Unknown parameter: 'messages[{number}].{name}'."),
    call_ids(
        r".{1,40}",
        "Invalid '{place}': string too long. Expected a string with maximum length 40.",
        code="string_above_max_length",
    ),
    # https://github.com/QwenLM/qwen-code/issues/1039
    calls_are_answered(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to "
        "each 'tool_call_id'. The following tool_call_ids did not have response messages: {ids}",
        stray="Invalid parameter: messages with role 'tool' must be a response to a preceeding "
        "message with 'tool_calls'.",
    ),
)


class OpenAI(Profile):
    """Counts only where it is asked to, and hides what a model thinks."""

    name = "openai"
    rules = RULES
    reasons = False

    def limits(self, fault: Fault) -> dict[str, str]:
        # https://platform.openai.com/docs/guides/rate-limits, "rate limits in headers"
        headers = super().limits(fault)
        if fault.retry_after is not None:
            headers["retry-after-ms"] = f"{fault.retry_after * 1000:.0f}"
        if fault.reset_after is not None:
            headers["x-ratelimit-remaining-requests"] = "0"
            headers["x-ratelimit-reset-requests"] = f"{fault.reset_after:g}s"
        return headers

    def limit_in_words(self, seconds: float) -> str:
        return f"Please try again in {seconds:g}s."

    def chunk(self, request: Request, *choices: Body, **more: Any) -> Body:
        # `obfuscation` evens out the lengths of chunks: "include_obfuscation" in the reference
        padding = {"obfuscation": digest(request, len(choices))[:9]}
        return {**super().chunk(request, *choices, **more), **padding}


PROFILE = OpenAI()
