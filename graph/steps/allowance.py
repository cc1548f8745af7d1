"""What one agent inside of a run may take: a budget within the run's own, for as long as it works.

Looked at before each call of a model; a call that is under way may go over it.
"""

from everturn.graph.budget import Budget, Settle
from everturn.graph.errors import AgentError


class AllowanceSpent(AgentError):
    """The agent may ask no more models; whoever asked the agent reads it as its failure."""


class Allowance:
    """A number of tokens and of US dollars; `None` is any."""

    def __init__(self, outer: Budget | None, tokens: int | None, dollars: float | None) -> None:
        """Keep to an `outer` budget, too: that of the run, or of an agent around this one."""
        self._outer = outer
        self._tokens, self._dollars = tokens, dollars

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """See `Budget`."""
        return (AllowanceSpent, *(self._outer.errors if self._outer else ()))

    async def reserve(self, tokens: int, dollars: float) -> Settle:
        """See `Budget`: refused is only what begins when all is spent."""
        if self._tokens is not None and self._tokens <= 0:
            raise AllowanceSpent("it has taken all tokens that it may take")
        if self._dollars is not None and self._dollars <= 0:
            raise AllowanceSpent("it has taken all the money that it may take")
        inner = await self._outer.reserve(tokens, dollars) if self._outer else None

        async def settle(tokens: int, dollars: float) -> None:
            if self._tokens is not None:
                self._tokens -= tokens
            if self._dollars is not None:
                self._dollars -= dollars
            if inner is not None:
                await inner(tokens, dollars)

        return settle

    def check_tools(self, calls: int, place: str = "") -> None:
        """See `Budget`."""
        if self._outer:
            self._outer.check_tools(calls, place)
