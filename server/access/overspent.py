"""How a run is refused that may spend no more: which budget, how much, and when there is more."""

from everturn.checkpoints.shared.spending import Full
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


def what_is_spent(full: Full, setting: str | None, again: float | None) -> BudgetExceeded:
    """Say which budget is spent.

    Args:
        full: the account that is at its limit.
        setting: which one says so, in small letters; None: it is a caller's own.
        again: seconds until there is more; None: at once, for another run.
    """
    of, kind = full.of, full.account.name.partition(":")[0]
    limit = getattr(full.account, of)
    spent, held = (getattr(each, of) for each in full.counted)
    budget = "Your own budget of a day"
    if setting:
        budget = f"The budget of {_WHOSE[kind]} (EVERTURN_{setting.upper()})"
    text = f"{budget} is {_said(limit, of)}, and {_said(spent, of)} are spent"
    if spent - held < limit:
        text += f", of which {_said(held, of)} are set aside for calls under way. Try again."
        return BudgetExceeded(text, _SOON)
    return BudgetExceeded(f"{text}. {_NEXT[kind]}", _SOON if again is None else again)


def too_many_tools(calls: int, limit: int, *, own: bool) -> BudgetExceeded:
    """Say that a turn calls more tools than it may; `own`: by a limit of its caller alone."""
    allows = "your own limit" if own else "EVERTURN_MAX_TOOL_CALLS"
    return BudgetExceeded(
        f"The turn would have called {calls} tools; {allows} allows {limit}. Ask for less at once.",
        _SOON,
    )


def _said(number: float, of: str) -> str:
    if of == "tokens":
        return f"{number:,} tokens"
    return f"${number:,.9f}".rstrip("0").removesuffix(".")
