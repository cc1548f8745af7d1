"""The settings of summaries, read from the environment and `.env`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SummarySettings(BaseSettings):
    """Whether long conversations are summed up, and by whom."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    summary: bool = Field(
        default=True,
        description="Sum up what of a long conversation the model is no longer shown.",
    )
    summary_model: str | None = Field(
        default=None,
        description="The model that sums up; unset, the cheapest of the chain. While none answers, "
        "a simple summary stands in.",
    )
