"""Which MCP servers there are, in the shape that other clients call `mcpServers`."""

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

# It begins the names of the server's tools, which OpenAI limits to these characters.
ServerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,24}$")]


class McpServer(BaseModel):
    """A server: a program that is started here, or an address that is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str | None = Field(default=None, min_length=1, description="A program, for stdio.")
    args: list[str] = Field(default_factory=list)
    env: dict[str, SecretStr] = Field(
        default_factory=dict, description="All it gets besides PATH, HOME and their like."
    )
    cwd: Path | None = None
    url: HttpUrl | None = Field(default=None, description="An address, for streamable HTTP.")
    headers: dict[str, SecretStr] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_transport(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either `command` (stdio) or `url` (streamable HTTP)")
        if self.url is None and self.headers:
            raise ValueError("`headers` go with `url`")
        if self.command is None and (self.args or self.env or self.cwd):
            raise ValueError("`args`, `env` and `cwd` go with `command`")
        return self


class McpSettings(BaseSettings):
    """The MCP servers whose tools the agent may call."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    mcp_servers: Annotated[dict[ServerName, McpServer], NoDecode] = Field(
        default_factory=dict,
        description='JSON: {"name": {"command": …, "args": […], "env": {…}}} or '
        '{"name": {"url": …, "headers": {…}}}.',
    )
    mcp_timeout: float = Field(
        default=10.0, gt=0, description="Seconds an MCP server has to start and to list its tools."
    )

    @field_validator("mcp_servers", mode="before")
    @classmethod
    def _read_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"it is not JSON: {error}") from None
