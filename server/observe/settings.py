"""What operators see."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class ObserveSettings(BaseSettings):
    """What operators see."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )
