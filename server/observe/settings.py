"""What operators see: logs, metrics, audit."""

from pathlib import Path

from pydantic import Field, SecretStr
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

    log_content: bool = Field(
        default=False,
        description="Log what people, models and tools wrote, too, where an error repeats it: the "
        "texts of exceptions, and a provider's own words.",
    )
    caller_key: SecretStr | None = Field(
        default=None,
        description="Key of the hash by which the log names callers. Unset, it is made of "
        "DATABASE_URL and LANGGRAPH_AES_KEY.",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port of its own for /metrics, at EVERTURN_HOST and without auth; 0 picks one. "
        "The service's port has no /metrics then. /ok and /ready are there, too, of one process.",
    )
    audit_file: Path | None = Field(
        default=None,
        description="File to which each audit line is appended, too, as JSON.",
    )
