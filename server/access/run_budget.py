"""What one run keeps to: a `graph.budget.Budget`, bound to its run, thread and caller."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from langchain_core.callbacks import BaseCallbackHandler

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.shared.spending import Account, Amount
from everturn.server.access.budgets import Budgets
from everturn.server.access.call_counter import CallCounter, counted_by_node
from everturn.server.access.caller import Caller
from everturn.server.errors import BudgetExceeded

Settle = Callable[[int, float], Awaitable[None]]
"""Takes the tokens and the US dollars that a call took."""


class RunBudget:
    """What one run keeps to; a block of it counts at its end what no node has asked for.

    Nodes that ask are stopped by every budget before their next call. The calls of other graphs
    are known when they have ended: they are stopped by the run's own budget, and counted in the
    others at the run's end.
    """

    errors: tuple[type[Exception], ...] = (BudgetExceeded, CheckpointsError)
    """What its methods raise."""

    def __init__(
        self, budgets: Budgets, run_id: str, thread_id: str | None, caller: Caller | None
    ) -> None:
        """Bind the budgets to a run; one without a thread that lasts has None."""
        self._budgets = budgets
        self._run = run_id, thread_id, caller
        self._caller = caller
        self._counts = budgets.counts_for(caller)
        self._seen = CallCounter(budgets.check_run)
        self._tool_calls: dict[str, int] = {}
        """By the graph inside the run that called them; of this process alone."""

    @property
    def callbacks(self) -> list[BaseCallbackHandler]:
        """What LangChain calls for each call of a model in the run."""
        return [self._seen] if self._counts else []

    async def reserve(self, tokens: int, dollars: float) -> Settle:
        """Set aside what a call may take; raises BudgetExceeded, and what `Spending.reserve` does.

        Returns:
            What is to be called once, with what it took.
        """
        if not self._counts:
            return _nothing
        accounts, held = self._accounts(), Amount(tokens, dollars)
        await self._budgets.reserve(accounts, held)
        counted_by_node.set(True)

        async def settle(tokens: int, dollars: float) -> None:
            await self._budgets.settle(accounts, held, Amount(tokens, dollars))

        return settle

    def check_tools(self, calls: int, place: str = "") -> None:
        """Refuse a turn that has called too many tools, in all places; raises BudgetExceeded."""
        self._tool_calls[place] = calls
        self._budgets.check_tools(sum(self._tool_calls.values()), self._caller)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if (spent := self._seen.total) != Amount():
            await asyncio.shield(self._budgets.settle(self._accounts(), Amount(), spent))

    def _accounts(self) -> list[Account]:
        return self._budgets.accounts(*self._run)


async def _nothing(tokens: int, dollars: float) -> None:
    pass
