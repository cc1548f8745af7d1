"""`ChatOpenAI` that keeps what a provider says a call has cost."""

from typing import Any

import openai
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from typing_extensions import override


class OpenAIChat(ChatOpenAI):
    """Chat completions of any OpenAI-compatible provider.

    OpenRouter reports the price of a call in US dollars as `usage.cost`
    (https://openrouter.ai/docs/use-cases/usage-accounting). It is kept as
    `response_metadata["cost"]`, streamed or not.
    """

    @override
    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], *args: Any, **kwargs: Any
    ) -> ChatGenerationChunk | None:
        generation = super()._convert_chunk_to_generation_chunk(chunk, *args, **kwargs)
        cost = _cost(chunk.get("usage"))
        if generation is not None and cost is not None:
            generation.message.response_metadata["cost"] = cost
        return generation

    @override
    def _create_chat_result(
        self,
        response: dict[str, Any] | openai.BaseModel,
        generation_info: dict[str, Any] | None = None,
    ) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        usage = (result.llm_output or {}).get("token_usage")
        cost = _cost(usage)
        if cost is not None:
            for generation in result.generations:
                generation.message.response_metadata["cost"] = cost
        return result


def _cost(usage: object) -> float | None:
    cost = usage.get("cost") if isinstance(usage, dict) else None
    return float(cost) if isinstance(cost, int | float) else None
