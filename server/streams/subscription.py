"""What a client of the event protocol wants to be sent: channels, and where in the graph.

Rules: `langchain_protocol`'s `SubscribeParams`, and what LangGraph's clients make of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

CHANNELS = (
    "values",
    "updates",
    "messages",
    "tools",
    "lifecycle",
    "input",
    "checkpoints",
    "tasks",
    "custom",
)
"""And `custom:NAME`."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Some channels, of some namespaces."""

    channels: frozenset[str]
    namespaces: Sequence[Sequence[str]] | None = None
    """Prefixes; None is all of them. A segment without `:` stands for every task of that node."""
    depth: int | None = None
    """How many levels below a prefix; None is all of them."""

    def wants(self, method: str, namespace: Sequence[str], name: str | None = None) -> bool:
        """Say whether an event is to be sent; `name` of a custom one."""
        channel = "input" if method.startswith("input.") else method
        named = f"custom:{name}" if method == "custom" and name else None
        if channel not in self.channels and named not in self.channels:
            return False
        if not self.namespaces:
            return True
        return any(self._within(namespace, prefix) for prefix in self.namespaces)

    def wants_names(self) -> bool:
        """Whether custom events are to be told apart by their names."""
        return "custom" not in self.channels and any(":" in each for each in self.channels)

    def _within(self, namespace: Sequence[str], prefix: Sequence[str]) -> bool:
        if len(prefix) > len(namespace):
            return False
        if not all(_stands_for(a, b) for a, b in zip(prefix, namespace, strict=False)):
            return False
        return self.depth is None or len(namespace) - len(prefix) <= self.depth


def _stands_for(segment: str, actual: str) -> bool:
    return segment == actual or (":" not in segment and actual.partition(":")[0] == segment)
