"""Providers as they are in the wild, one file each, loaded by name: few tests need them all."""

from __future__ import annotations

from importlib import import_module

from tests.provider.profile import Profile

NAMES = (
    "openrouter",
    "openai",
    "openai_reasoning",
    "azure",
    "mistral",
    "deepseek",
    "gemini",
    "anthropic",
    "groq",
    "databricks",
    "litellm",
    "vllm",
    "sglang",
    "llamacpp",
    "ollama",
    "lmstudio",
    "gateway",
)


def load(name: str) -> Profile:
    """The profile of this name; raises ValueError for any other."""
    if name not in NAMES:
        raise ValueError(f"no such profile: {name}; there are {', '.join(NAMES)}")
    profile: Profile = import_module(f"{__name__}.{name}").PROFILE
    return profile
