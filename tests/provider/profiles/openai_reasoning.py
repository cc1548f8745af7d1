"""OpenAI's reasoning models: https://platform.openai.com/docs/guides/reasoning."""

from __future__ import annotations

from tests.provider.profiles.openai import RULES, OpenAI
from tests.provider.rules import Rule, refuses


def only_the_default(name: str) -> Rule:
    """https://github.com/decolua/9router/issues/560."""
    return refuses(
        name,
        f"Unsupported value: '{name}' does not support {{value}} with this model. "
        "Only the default (1) value is supported.",
        code="unsupported_value",
        besides=1,
    )


class OpenAIReasoning(OpenAI):
    """Takes one of the two limits, and nothing that steers how tokens are chosen."""

    name = "openai_reasoning"
    rules = (
        # https://github.com/FoundationAgents/OpenManus/issues/555
        refuses(
            "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            code="unsupported_parameter",
        ),
        only_the_default("temperature"),
        only_the_default("top_p"),
        refuses(
            "stop",
            "Unsupported parameter: 'stop' is not supported with this model.",
            code="unsupported_parameter",
        ),
        *RULES,
    )


PROFILE = OpenAIReasoning()
