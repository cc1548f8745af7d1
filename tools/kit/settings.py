"""The settings of tools, read from the environment and `.env`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from everturn.tools.kit.lists import listed


class ToolSettings(BaseSettings):
    """Where tools come from, and what a call of one may cost."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    tool_paths: Annotated[list[Path], NoDecode] = Field(
        default_factory=list,
        description="Comma list of folders whose modules hold more tools, beside `tools/`.",
    )
    tool_concurrency: int = Field(
        default=8, ge=1, le=256, description="Tool calls of one turn that run at the same time."
    )
    tool_timeout: float = Field(
        default=30.0, gt=0, description="Seconds a call may take; a tool may declare its own."
    )
    tool_result_limit: int = Field(
        default=20_000, ge=100, description="Characters of a result that the model is shown."
    )
    approve_tools: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Comma list of tools that a person must approve before each call; * and ? "
        "stand for any characters.",
    )

    @field_validator("tool_paths", "approve_tools", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return listed(value)
