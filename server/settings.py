"""Every setting of the service: each room declares its own, and `Settings` holds them all."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_type_hints

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from everturn.checkpoints.settings import StoreSettings
from everturn.graph.cache.settings import CacheSettings
from everturn.graph.guards.settings import GuardSettings
from everturn.graph.models.settings import ModelSettings
from everturn.graph.specialists.kit.settings import SpecialistSettings
from everturn.graph.summaries.settings import SummarySettings
from everturn.server.access.budget_settings import BudgetSettings
from everturn.server.access.limit_settings import LimitSettings
from everturn.server.access.oauth_settings import OAuthSettings
from everturn.server.access.settings import AccessSettings
from everturn.server.address import DEFAULT_PORT, networks
from everturn.server.observe.settings import ObserveSettings
from everturn.tools.kit.mcp.settings import McpSettings
from everturn.tools.kit.settings import ToolSettings
from everturn.tools.kit.web.settings import WebSettings
from everturn.tools.providers.memories.settings import MemorySettings


class ServerSettings(BaseSettings):
    """How the service listens, what it takes from clients, and how it ends."""

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
    workers: int | Literal["auto"] = Field(
        default=1,
        description="Processes that serve at one port; auto is one for each processor.",
    )
    role: Literal["all", "api"] = Field(
        default="all",
        description="What `everturn serve` does: all; or api: it answers clients, and leaves what "
        "waits in the background to `everturn worker`.",
    )
    config: Path = Field(
        default=Path("langgraph.json"),
        validation_alias=AliasChoices("EVERTURN_CONFIG", "LANGGRAPH_CONFIG"),
        description="The file that names the graphs to serve; if there is none, the built-in ones.",
    )
    page: bool = Field(
        default=True, description="Whether `/` shows browsers the page; off, it is JSON for all."
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
    request_timeout: float = Field(
        default=30.0,
        ge=1,
        description="Seconds a request may take to arrive; a large body has one more for each "
        "16 kB of it.",
    )
    send_timeout: float = Field(
        default=30.0,
        ge=1,
        description="Seconds after which a client that reads nothing is let go; its run goes on.",
    )
    max_connections: int = Field(
        default=4096, ge=1, description="Connections of clients, at most; others are answered 503."
    )
    max_connections_per_client: int = Field(
        default=2048, ge=1, description="Connections from one address, at most; others get 429."
    )
    max_runs: int = Field(
        default=500,
        ge=1,
        description="Runs under way at once in one process, at most; others wait.",
    )
    max_queued: int = Field(
        default=10_000,
        ge=1,
        description="Runs that wait, at most: of the background in all processes together, of "
        "clients in one; others are answered 503.",
    )
    start_wait: float = Field(
        default=60.0,
        ge=0,
        description="Seconds a run may wait for its start behind others; clients that would wait "
        "longer are answered 503.",
    )
    idempotency_ttl: int = Field(
        default=86_400,
        ge=1,
        description="Seconds after which a request that is sent again with its Idempotency-Key is "
        "a new one.",
    )
    thread_wait: float = Field(
        default=60.0, gt=0, description="Seconds a turn waits for the one before it on its thread."
    )
    store_wait: float = Field(
        default=3600.0,
        ge=0,
        description="Seconds a run waits for a store that is away before it fails; its own time "
        "stands still meanwhile.",
    )
    cors_origins: str = Field(
        default="https://smith.langchain.com,https://eu.smith.langchain.com,"
        "http://localhost:*,http://127.0.0.1:*",
        description="Origins of web pages that may call the service; * is any part, or all.",
    )
    allowed_hosts: str = Field(
        default="",
        description="More names that clients may call the service by, such as a proxy's; *.name "
        "is any below it, * any at all. Those of the machine itself are known.",
    )
    trusted_proxies: str = Field(
        default="",
        description="Comma list of addresses and networks of proxies before the service, whose "
        "X-Forwarded-For and X-Forwarded-Proto, or Forwarded, say who calls: 10.0.0.0/8.",
    )
    shutdown_grace: float = Field(
        default=20.0, ge=0, description="Seconds running turns have to finish after SIGTERM."
    )
    shutdown_delay: float = Field(
        default=0.0,
        ge=0,
        description="Seconds the service goes on as before after SIGTERM while /ready says 503, so "
        "that a load balancer sends no more.",
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

    @field_validator("workers")
    @classmethod
    def _at_least_one(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("must be 1 or more, or auto")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        networks(value)
        return value

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


class WrongSettings(Exception):
    """Some settings have values that they cannot have."""

    def __init__(self, rooms: Sequence[ValidationError]) -> None:
        """Keep what is wrong, one error a room; their own texts hold values, and so keys."""
        super().__init__("; ".join(room.title for room in rooms))
        self.rooms = rooms


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `everturn serve` reads from the environment and `.env`; `everturn config` shows it."""

    mcp: McpSettings
    web: WebSettings
    tools: ToolSettings
    stores: StoreSettings
    models: ModelSettings
    server: ServerSettings
    access: AccessSettings
    oauth: OAuthSettings
    limits: LimitSettings
    budgets: BudgetSettings
    guards: GuardSettings
    memory: MemorySettings
    team: SpecialistSettings
    cache: CacheSettings
    summaries: SummarySettings
    observe: ObserveSettings
    refused_models: str = ""
    """Why `models` has no provider though one is named: no one may need it. A graph of our own
    that is served does."""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Read all rooms' settings from the environment; `values`, by their fields' names, win.

        Raises:
            WrongSettings: what is wrong, room by room.
        """
        rooms: dict[str, Any] = {}
        errors = []
        for name, room in ROOMS.items():
            own = {field: value for field, value in values.items() if field in room.model_fields}
            try:
                rooms[name] = room(_env_file=None, **own)
            except ValidationError as error:
                errors.append(error)
        if errors:
            raise WrongSettings(errors)
        return cls(**rooms)


ROOMS: Mapping[str, type[BaseSettings]] = {
    name: room for name, room in get_type_hints(Settings).items() if issubclass(room, BaseSettings)
}
FIELDS = {name: field for room in ROOMS.values() for name, field in room.model_fields.items()}
"""Every setting by its name, which no two rooms share."""
