"""Bearer tokens of an identity provider."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class OAuthSettings(BaseSettings):
    """Bearer tokens of an identity provider."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )
