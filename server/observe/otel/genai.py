"""A model call in the words of OpenTelemetry's conventions; from LangChain's, whichever client."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

_PROVIDERS = {
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}
"""LangChain's names that are others here."""
_UNKNOWN = "_OTHER"


def of_request(metadata: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for: LangChain's `ls_…` metadata of a call, and the parameters it is sent."""
    provider = str(metadata.get("ls_provider") or _UNKNOWN)
    model = metadata.get("ls_model_name") or params.get("model") or params.get("model_name")
    found = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
        "gen_ai.request.model": str(model or provider),
        "gen_ai.request.temperature": metadata.get("ls_temperature"),
        "gen_ai.request.max_tokens": metadata.get("ls_max_tokens"),
    }
    return {key: value for key, value in found.items() if value is not None}


def answer_of(response: LLMResult) -> AIMessage | None:
    """Return the message of an answer, where it is one."""
    first = next((each for several in response.generations for each in several), None)
    message = first.message if isinstance(first, ChatGeneration) else None
    return message if isinstance(message, AIMessage) else None


def of_response(answer: AIMessage | None, first_token: float | None) -> dict[str, Any]:
    """What an answer says of itself; `first_token` is the seconds to it, where it was streamed."""
    streamed = {
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": first_token,
    }
    found: dict[str, Any] = streamed if first_token is not None else {}
    if answer is None:
        return found
    about, used = answer.response_metadata, answer.usage_metadata
    if model := about.get("model_name") or about.get("model"):
        found["gen_ai.response.model"] = str(model)
    if reason := about.get("finish_reason") or about.get("stop_reason"):
        found["gen_ai.response.finish_reasons"] = [str(reason)]
    if identity := about.get("id"):
        found["gen_ai.response.id"] = str(identity)
    if used:
        found["gen_ai.usage.input_tokens"] = used["input_tokens"]
        found["gen_ai.usage.output_tokens"] = used["output_tokens"]
    if isinstance(cost := about.get("cost"), int | float):
        found["everturn.cost"] = float(cost)
    return found
