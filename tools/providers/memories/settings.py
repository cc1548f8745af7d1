"""The settings of long-term memory, read from the environment and `.env`."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MEMORY_TOOLS = ("forget", "recall", "remember")
"""The tools that there are none of with `memory` off."""


class MemorySettings(BaseSettings):
    """What is remembered of a user from one thread to the next."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    memory: Literal["off", "tools", "auto"] = Field(
        default="tools",
        description="off: nothing is remembered; tools: the model remembers by tools, and what "
        "fits a turn joins its prompt; auto: that, and what was said in a thread that has gone "
        "quiet is looked through by a cheap model.",
    )
    memory_tokens: int = Field(
        default=400,
        ge=0,
        le=20_000,
        description="Tokens of memories that join the prompt of a turn, at most; 0: none join.",
    )
    memory_limit: int = Field(
        default=10_000, ge=1, le=100_000, description="Memories of one user, at most."
    )
    memory_size: int = Field(
        default=2_000, ge=20, le=20_000, description="Characters of one memory, at most."
    )
    memory_quiet: float = Field(
        default=600.0,
        ge=1,
        description="With auto, seconds without a turn after which a thread has gone quiet.",
    )
