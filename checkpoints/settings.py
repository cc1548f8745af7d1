"""What `checkpoints` needs to know, read from the environment and `.env`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from everturn.checkpoints.encryption import flaw_of_key


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
    lease: float = Field(
        default=3.0,
        ge=1,
        description="Seconds of silence after which a process is taken for dead, and others go on "
        "with its runs; the same for all processes.",
    )
    aes_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("EVERTURN_AES_KEY", "LANGGRAPH_AES_KEY"),
        description="16, 24 or 32 bytes: encrypts checkpoints, and the secrets of runs and crons.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("EVERTURN_DATABASE_URL", "DATABASE_URL"),
        description="Database of the history, postgresql+asyncpg://…; unset uses SQLite.",
    )

    @property
    def local(self) -> bool:
        """Whether the data folder keeps anything: one of the stores is not named."""
        return self.redis_url is None or self.database_url is None

    keep_runs: float = Field(
        default=90.0,
        ge=0,
        description="Days the row of a run is kept after its end; the newest of a thread stays. "
        "0: for ever.",
    )
    keep_history: float = Field(
        default=0.0,
        ge=0,
        description="Days a turn is kept in the chat history. 0: until its session is deleted.",
    )
    keep_checkpoints: float = Field(
        default=0.0,
        ge=0,
        description="Days without use after which a thread of the API keeps its newest state only; "
        "what has a ttl of its own, or of langgraph.json, goes by that. 0: never.",
    )
    keep_delivered: float = Field(
        default=1.0, gt=0, description="Days it is known that a webhook was delivered."
    )
    keep_dead_letters: float = Field(
        default=30.0, gt=0, description="Days a webhook is kept that no receiver took."
    )
    keep_events: int = Field(
        default=300,
        ge=10,
        description="Seconds after its end that a stream can be joined from its beginning, where "
        "its run is resumable; the others have 10.",
    )

    @property
    def ttl_of_unused(self) -> dict[str, Any] | None:
        """The ttl of threads that have none of their own; None where they are kept as they are."""
        minutes = self.keep_checkpoints * 24 * 60
        return {"ttl": minutes, "strategy": "keep_latest"} if minutes else None

    @field_validator("aes_key")
    @classmethod
    def _of_aes(cls, value: SecretStr | None) -> SecretStr | None:
        if value and (flaw := flaw_of_key(value.get_secret_value())):
            raise ValueError(flaw)
        return value
