"""What goes into the graph, and out of it."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class GuardSettings(BaseSettings):
    """What goes into the graph, and out of it."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )
