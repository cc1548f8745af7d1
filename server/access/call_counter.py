"""What the model calls of any graph took, as LangChain's messages say it.

Our own nodes ask for each call, and know more of it: those calls are left to them.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from everturn.checkpoints.shared.spending import Amount

counted_by_node: ContextVar[bool] = ContextVar("counted_by_node", default=False)
"""Whether the node that runs now asks for its calls itself."""

_MAX_COST = 1e9
"""US dollars; what is more is no price, and JSON's integers have no end."""


class CallCounter(BaseCallbackHandler):
    """Adds up `usage_metadata`, and the US dollars of `response_metadata["cost"]`, of a run."""

    raise_error = True  # what `check` raises ends the call before it is made
    run_inline = True  # it only adds up numbers

    def __init__(self, check: Callable[[Amount], None]) -> None:
        """Call `check` with the sum before each call; what it raises, the node raises."""
        self._check = check
        self._amounts: list[Amount] = []  # nodes side by side may be in threads

    @property
    def total(self) -> Amount:
        """What was spent so far."""
        amounts = list(self._amounts)
        return Amount(sum(each.tokens for each in amounts), sum(each.dollars for each in amounts))

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Look before a call."""
        if not counted_by_node.get():
            self._check(self.total)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Count a call that was answered."""
        if counted_by_node.get():
            return
        for generations in response.generations:
            for each in generations[:1]:
                if isinstance(message := getattr(each, "message", None), BaseMessage):
                    self._amounts.append(_amount_of(message))


def _amount_of(message: BaseMessage) -> Amount:
    """Read what a message says; any model may have written anything there."""
    usage = getattr(message, "usage_metadata", None)
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    cost = message.response_metadata.get("cost")
    return Amount(
        tokens if isinstance(tokens, int) and tokens > 0 else 0,
        float(cost) if isinstance(cost, int | float) and 0 < cost < _MAX_COST else 0.0,
    )
