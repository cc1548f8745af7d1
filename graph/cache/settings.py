"""The settings of the response cache, read from the environment and `.env`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MAX_SECONDS = 30 * 86_400.0
"""For which an answer is kept, at most."""


class CacheSettings(BaseSettings):
    """How long answers of models are kept, and how much of them."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    response_cache: float = Field(
        default=0.0,
        ge=0,
        le=MAX_SECONDS,
        description="Seconds for which a model's answer is used again for the same caller who asks "
        "exactly the same; 0: only where a request or its assistant asks for it (`cache`).",
    )
    response_cache_bytes: int = Field(
        default=64 * 2**20,
        ge=0,
        description="Bytes of answers that are kept, at most; those that end first are dropped.",
    )
