"""How often a caller may ask, and how much at once."""

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from everturn.server.access.limit_notation import parse_limits


class LimitSettings(BaseSettings):
    """How often a caller may ask, and how much at once."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    rate_limit: str | None = Field(
        default=None,
        description="Turns that each caller may start or answer: 10/minute, several with ; or off. "
        "Unset: 10/minute where callers sign in, else off.",
    )
    request_limit: str = Field(
        default="off", description="Other requests of each caller: 600/minute, several with ;."
    )
    max_runs_per_caller: int | None = Field(
        default=None,
        ge=1,
        description="Runs of one caller under way at once, in all processes; a client is answered "
        "429, runs of the background wait. Unset: no limit.",
    )

    @field_validator("rate_limit", "request_limit")
    @classmethod
    def _limits(cls, value: str | None) -> str | None:
        if value is not None:
            parse_limits(value)
        return value
