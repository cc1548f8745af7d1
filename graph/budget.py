"""What a run may spend, as nodes ask for it; a server that has budgets brings one for each run."""

from collections.abc import Awaitable, Callable
from typing import Protocol

Settle = Callable[[int, float], Awaitable[None]]
"""Called once after a call of a model, with the tokens and the US dollars that it took."""


class Budget(Protocol):
    """What one run may spend."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What its methods raise: the run ends with it, and no other model is asked."""
        ...

    async def reserve(self, tokens: int, dollars: float) -> Settle:
        """Set aside what a call of a model may take at most.

        Raises:
            Exception: one of `errors`; the budget is spent, or nobody knows whether it is.
        """
        ...

    def check_tools(self, calls: int, place: str = "") -> None:
        """Refuse a turn that has called so many tools by now, where it may call fewer.

        Steps of a plan and specialists count their own calls, each at its `place`; they add up.

        Raises:
            Exception: one of `errors`.
        """
        ...
