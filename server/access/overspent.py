"""How a run is refused that may spend no more: which budget, how much, and when there is more."""

from everturn.checkpoints.shared.spending import Amount, Full
from everturn.server.errors import BudgetExceeded

_WHOSE = {
    "run": "this run",
    "thread": "this thread",
    "caller_day": "one caller a day",
    "day": "all callers together a day",
}
_NEXT = {
    "run": "A new run has a budget of its own.",
    "thread": "Go on in a new thread.",
    "caller_day": "There is more after midnight UTC.",
    "day": "There is more after midnight UTC.",
}
_SOON = 2.0
"""Seconds after which a call that is under way may have ended, or a new run be begun."""


def what_is_spent(full: Full, setting: str, again: float | None) -> BudgetExceeded:
    """Say which budget is spent.

    Args:
        full: the account that is at its limit.
        setting: which one says so, in small letters.
        again: seconds until there is more; None: at once, for another run.
    """
    account, (spent, held) = full.account, full.counted
    kind = account.name.partition(":")[0]
    limit = Amount(account.tokens or 0, account.dollars or 0.0)
    name = f"EVERTURN_{setting.upper()}"
    size, came_to = _said(limit, full.of), _said(spent, full.of)
    text = f"The budget of {_WHOSE[kind]} ({name}) is {size}, and {came_to} are spent"
    free = Amount(spent.tokens - held.tokens, spent.dollars - held.dollars)
    in_flight = getattr(free, full.of) < getattr(limit, full.of)
    if in_flight:
        text += f", of which {_said(held, full.of)} are set aside for calls under way. Try again."
        return BudgetExceeded(text, _SOON)
    return BudgetExceeded(f"{text}. {_NEXT[kind]}", _SOON if again is None else again)


def too_many_tools(calls: int, limit: int) -> BudgetExceeded:
    """Say that a turn calls more tools than it may."""
    return BudgetExceeded(
        f"The turn would have called {calls} tools; EVERTURN_MAX_TOOL_CALLS allows {limit}. "
        "Ask for less at once.",
        _SOON,
    )


def _said(amount: Amount, of: str) -> str:
    if of == "tokens":
        return f"{amount.tokens:,} tokens"
    return f"${amount.dollars:,.6f}".rstrip("0").removesuffix(".")
