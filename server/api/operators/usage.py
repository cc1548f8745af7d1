"""What callers have spent, and what they may spend."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from everturn.checkpoints.shared.spending import Counted
from everturn.server.access.budgets import Budget, Budgets
from everturn.server.access.caller import current_caller
from everturn.server.api.http.deps import BudgetsDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import Name

router = Router(prefix="/api/usage", tags=["usage"])


class Limits(BaseModel):
    """A budget."""

    tokens: int | None = Field(description="Read and written; null is any number.")
    dollars: float | None = Field(description="US dollars; null is any amount.")


class Spent(BaseModel):
    """What was spent since midnight UTC, with what is set aside for calls under way."""

    tokens: int
    dollars: float
    held_tokens: int = Field(description="Of these: set aside.")
    held_dollars: float = Field(description="Of these: set aside.")


class AllLimits(BaseModel):
    """The budgets of the service, and of the caller."""

    run: Limits
    thread: Limits
    caller_day: Limits
    day: Limits
    tool_calls: int | None = Field(description="Of one turn; null is any number.")


class Usage(BaseModel):
    """What a caller has spent, and what may be spent."""

    caller: str | None = Field(description="Null: all who do not sign in.")
    today: Spent | None = Field(description="Null: nothing is counted, for there is no budget.")
    everybody: Spent | None = Field(
        description="All callers together; null also for those who are no operators."
    )
    budgets: AllLimits
    resets_at: datetime = Field(description="When a new day begins.")


@router.get(
    "",
    summary="What was spent",
    description="Tokens and US dollars of the caller since midnight UTC, and all budgets. "
    "Operators, who have the permission `admin`, may ask for another caller.",
    responses=problems(403, 503),
)
async def get_usage(
    budgets: BudgetsDep,
    caller: Annotated[
        Name | None, Query(min_length=1, description="The identity of another caller.")
    ] = None,
) -> Usage:
    usage = await budgets.usage(caller)
    return Usage(
        caller=usage.caller,
        today=_spent(usage.today),
        everybody=_spent(usage.everybody),
        budgets=_limits(budgets, usage.caller_day),
        resets_at=usage.resets_at,
    )


def _spent(counted: Counted | None) -> Spent | None:
    if counted is None:
        return None
    (tokens, dollars), (held_tokens, held_dollars) = counted
    return Spent(tokens=tokens, dollars=dollars, held_tokens=held_tokens, held_dollars=held_dollars)


def _limits(budgets: Budgets, caller_day: Budget) -> AllLimits:
    def limits(budget: Budget) -> Limits:
        return Limits(**budget._asdict())

    return AllLimits(
        run=limits(budgets.run),
        thread=limits(budgets.thread),
        caller_day=limits(caller_day),
        day=limits(budgets.day),
        tool_calls=budgets.tool_calls_of(current_caller()),
    )
