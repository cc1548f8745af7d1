"""What a caller, a thread and a run may spend."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Dollars = Annotated[float | None, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Tokens = Annotated[int | None, Field(gt=0, le=1_000_000_000_000)]


class BudgetSettings(BaseSettings):
    """What a caller, a thread and a run may spend."""

    model_config = SettingsConfigDict(
        env_prefix="EVERTURN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    budget_run: Dollars = Field(default=None, description="US dollars of one run; empty: any.")
    budget_thread: Dollars = Field(
        default=None, description="US dollars of one thread; empty: any."
    )
    budget_caller_day: Dollars = Field(
        default=None, description="US dollars of one caller a day (UTC); empty: any."
    )
    budget_day: Dollars = Field(
        default=None, description="US dollars of all callers together a day (UTC); empty: any."
    )
    tokens_run: Tokens = Field(
        default=None, description="Tokens of one run, read and written; empty: any number."
    )
    tokens_thread: Tokens = Field(
        default=None, description="Tokens of one thread; empty: any number."
    )
    tokens_caller_day: Tokens = Field(
        default=None, description="Tokens of one caller a day (UTC); empty: any number."
    )
    tokens_day: Tokens = Field(
        default=None,
        description="Tokens of all callers together a day (UTC); empty: any number.",
    )
    max_tool_calls: int | None = Field(
        default=None,
        gt=0,
        description="Calls of tools in one turn, at most; more end it with an error. Empty: as "
        "many as its rounds hold.",
    )
