"""Every setting of the service in one place: each room declares its own, this joins them."""

import base64
from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from everturn.checkpoints.settings import StoreSettings
from everturn.graph.models.settings import ModelSettings
from everturn.server.address import DEFAULT_PORT
from everturn.tools.kit.mcp.settings import McpSettings
from everturn.tools.kit.settings import ToolSettings
from everturn.tools.kit.web.settings import WebSettings


class Settings(ModelSettings, StoreSettings, ToolSettings, WebSettings, McpSettings):
    """What `everturn serve` reads from the environment and `.env`; `everturn config` shows it."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=DEFAULT_PORT,
        ge=0,
        le=65535,
        description="Port to listen on; 0 picks one; unset, the first free one from 2024 to 2043.",
    )
    config: Path = Field(
        default=Path("langgraph.json"), description="The file that names the graphs to serve."
    )
    session_ttl: int = Field(
        default=3600, ge=1, description="Seconds a chat session lives, renewed by use."
    )
    window: int = Field(default=20, ge=1, description="Newest messages that the model sees.")
    max_message_length: int = Field(
        default=32_000, ge=1, description="Characters of one chat message, at most."
    )
    max_body_size: int = Field(
        default=4_194_304, ge=1024, description="Bytes of one request's body, at most."
    )
    thread_wait: float = Field(
        default=60.0, gt=0, description="Seconds a turn waits for the one before it on its thread."
    )
    cors_origins: str = Field(
        default="https://smith.langchain.com,https://eu.smith.langchain.com,"
        "http://localhost:*,http://127.0.0.1:*",
        description="Origins of web pages that may call the service; * is any part, or all.",
    )
    shutdown_grace: float = Field(
        default=20.0, ge=0, description="Seconds running turns have to finish after SIGTERM."
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Signs webhooks as standardwebhooks.com says: whsec_ and Base64, or a text.",
    )
    blocking_warning: float = Field(
        default=0.25,
        ge=0,
        description="Seconds code may block the event loop before the log names it; 0: off.",
    )
    log_level: str = Field(
        default="INFO",
        validation_alias=AliasChoices("LOG_LEVEL", "EVERTURN_LOG_LEVEL"),
        description="DEBUG, INFO, WARNING or ERROR.",
    )

    @field_validator("webhook_secret")
    @classmethod
    def _a_key(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value else ""
        if text.startswith("whsec_"):
            try:
                base64.b64decode(text.removeprefix("whsec_"), validate=True)
            except ValueError:
                raise ValueError("must be Base64 after whsec_") from None
        return value if text else None

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        level = value.upper()
        if level not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
            raise ValueError("must be DEBUG, INFO, WARNING, ERROR or CRITICAL")
        return level
