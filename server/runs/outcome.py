"""What a turn came to: read from the graph's final state, whatever graph it was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.types import Interrupt


@dataclass(slots=True)
class Outcome:
    """The final state of a turn, and what can be said of its answer."""

    values: Any = None
    """The graph's output, of the shape of its output schema."""
    interrupts: Sequence[Interrupt] = ()
    """What the turn waits for; empty when it is finished."""
    _turn: list[AnyMessage] = field(default_factory=list)
    _last_before: str | None = None
    """The id of the last message before anything was run."""
    _begun: bool = False

    def take(self, values: Any) -> None:
        """Take in one state of the `values` stream; the last one counts."""
        if isinstance(values, dict) and "__interrupt__" in values:
            self.interrupts = values["__interrupt__"]
            values = {k: v for k, v in values.items() if k != "__interrupt__"} or self.values
        self.values = values
        self._turn = []
        if not self._begun:
            self._begun = True
            last = next(reversed(self._messages()), None)
            self._last_before = last.id if last else None

    @property
    def question(self) -> HumanMessage | None:
        """The message of the user that began this turn."""
        first = next(iter(self._messages()), None)
        return first if isinstance(first, HumanMessage) else None

    @property
    def answer(self) -> AIMessage | None:
        """The last message, where it is the model's word to the user, and of this run."""
        last = next(reversed(self._messages()), None)
        if not isinstance(last, AIMessage) or last.tool_calls or last.id == self._last_before:
            return None
        return last

    @property
    def tools_used(self) -> list[str]:
        """The names of the tools that did their work, each once, in order of first use."""
        answers = (m for m in self._messages() if isinstance(m, ToolMessage))
        return list(dict.fromkeys(m.name for m in answers if m.name and m.status == "success"))

    @property
    def usage(self) -> dict[str, int]:
        """Tokens of the turn's model calls: `input_tokens`, `output_tokens`, `total_tokens`."""
        total: dict[str, int] = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        for message in self._model_calls():
            usage = message.usage_metadata
            if usage:
                total["input_tokens"] += usage["input_tokens"]
                total["output_tokens"] += usage["output_tokens"]
                total["total_tokens"] += usage["total_tokens"]
        return total

    @property
    def cost(self) -> float | None:
        """US dollars for all model calls of the turn; `None` where no provider named a price."""
        costs = [m.response_metadata.get("cost") for m in self._model_calls()]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known else None

    @property
    def route(self) -> dict[str, Any]:
        """Who answered, `{mode, model, tried}`; for a graph without a router, its model."""
        metadata = self.answer.response_metadata if self.answer else {}
        route = metadata.get("route")
        if isinstance(route, dict):
            return route
        return {"mode": "primary", "model": metadata.get("model_name"), "tried": []}

    def _model_calls(self) -> Iterator[AIMessage]:
        return (m for m in self._messages() if isinstance(m, AIMessage))

    def _messages(self) -> list[AnyMessage]:
        """The messages of this turn, from the newest of the user's on."""
        if not self._turn and isinstance(self.values, dict):
            messages = self.values.get("messages") or []
            users = [i for i, m in enumerate(messages) if isinstance(m, HumanMessage)]
            self._turn = list(messages[users[-1] if users else 0 :])
        return self._turn
