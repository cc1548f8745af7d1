"""Who may use the service: own keys, and what is said of nobody."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints
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

    auth: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether each request needs a key: auto, wherever the service listens beyond "
        "this machine; on, always; off, never. An `auth` of langgraph.json counts in its place.",
    )
    open_metrics: bool = Field(
        default=False, description="Whether /metrics needs no key, though everything else does."
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="The key that commands such as `everturn chat` send to the service.",
    )
    default_owner: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        default="",
        description="Who owns what was made before callers had to sign in: their identity. Unset, "
        "only operators see it.",
    )
