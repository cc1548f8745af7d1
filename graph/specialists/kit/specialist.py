"""What a specialist is."""

from dataclasses import dataclass
from typing import Protocol

from everturn.graph.context import Context
from everturn.graph.steps.delegation import Report


class Remote(Protocol):
    """A specialist that lives elsewhere."""

    async def ask(self, task: str, seconds: float, key: str, depth: int) -> Report:
        """Have it answer a task; what it cannot do, and that it is away, is reported, not raised.

        Args:
            task: what to do.
            seconds: that it may take.
            key: names the task, and is the same if it is asked for again.
            depth: how many specialists have asked each other for it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Specialist:
    """One member of the team."""

    name: str
    """Of its node, and of the tool by which it is asked."""
    purpose: str
    """What it is asked for, as the model reads it that asks."""
    tools: tuple[str, ...] = ()
    colleagues: tuple[str, ...] = ()
    """Specialists that it may ask itself."""
    instructions: str = ""
    require_tools: bool = False
    """Its model must be able to call tools."""
    min_context: int | None = None
    """Tokens that its model must be able to read."""
    remote: Remote | None = None
    """Where it lives; `None`: here."""

    def needs(self, context: Context) -> dict[str, object]:
        """Return what its model must be able to do, as choices beside the caller's."""
        least = max(self.min_context or 0, context.min_context or 0)
        return {
            "require_tools": self.require_tools or context.require_tools,
            "min_context": least or None,
        }

    def tools_within(self, allowed: list[str] | None) -> list[str]:
        """Return its tools, as far as the caller allows them."""
        return [name for name in self.tools if allowed is None or name in allowed]
