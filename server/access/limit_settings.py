"""How often a caller may ask, and how much at once."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class LimitSettings(BaseSettings):
    """How often a caller may ask, and how much at once."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )
