"""A model in a provider's catalogue, with OpenRouter's fields: https://openrouter.ai/docs/models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Offer:
    """A model in the catalogue; prices are US dollars a token, in strings, as OpenRouter's are."""

    id: str
    context_length: int = 131_072
    prompt_price: str = "0"
    completion_price: str = "0"
    input_modalities: tuple[str, ...] | None = ("text",)
    """None: the catalogue does not say."""
    supported_parameters: tuple[str, ...] = ("max_tokens", "temperature", "tools", "tool_choice")

    def listed(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "canonical_slug": self.id.removesuffix(":free"),
            "name": self.id,
            "created": 1_750_000_000,
            "description": "A model of the fake provider.",
            "context_length": self.context_length,
            "architecture": {
                "modality": "text->text",
                "input_modalities": self.input_modalities and list(self.input_modalities),
                "output_modalities": ["text"],
                "tokenizer": "Other",
                "instruct_type": None,
            },
            "pricing": {
                "prompt": self.prompt_price,
                "completion": self.completion_price,
                "request": "0",
                "image": "0",
            },
            "top_provider": {
                "context_length": self.context_length,
                "max_completion_tokens": None,
                "is_moderated": False,
            },
            "per_request_limits": None,
            "supported_parameters": list(self.supported_parameters),
        }
