"""Who may use the service: own keys, and what is said of nobody."""

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
