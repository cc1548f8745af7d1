"""Who may use the service: own keys, and what is said of nobody."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class AccessSettings(BaseSettings):
    """Who may use the service: own keys, and what is said of nobody."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    default_owner: str = Field(
        default="",
        description="Who owns what was made before callers had to sign in: their identity. Unset, "
        "only operators see it.",
    )
