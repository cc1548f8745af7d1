"""What `checkpoints` needs to know, read from the environment and `.env`."""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StoreSettings(BaseSettings):
    """Where memory and history live. The defaults need nothing installed."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    data_dir: Path = Field(
        default=Path(".everturn"),
        description="Folder of the embedded Valkey and the SQLite file; one server a folder.",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("EVERTURN_REDIS_URL", "REDIS_URL"),
        description="Redis ≥ 6.2 or Valkey for session memory; unset starts an embedded Valkey.",
    )
    appendfsync: Literal["always", "everysec", "no"] = Field(
        default="everysec",
        description="When the embedded Valkey writes to disk; a killed process loses nothing.",
    )
    redis_prefix: str = Field(
        default="everturn",
        pattern=r"^[\w.:-]+$",
        description="What the names of all keys in Redis begin with.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("EVERTURN_DATABASE_URL", "DATABASE_URL"),
        description="Database of the history, postgresql+asyncpg://…; unset uses SQLite.",
    )
