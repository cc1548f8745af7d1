"""An interrupt can always be named in the log, whatever a graph asks with it.

When a callback fails, the event loop writes a message that names the callback's task, the task's
exception and with it the interrupt. Should `repr` of the interrupt's value raise there, because
the value holds itself for example, nothing catches it: the loop ends, and the whole service.
LangGraph copies an interrupt in such a callback (stream modes `tasks` and `debug`).
"""

from langgraph.types import Interrupt

_written_out = Interrupt.__repr__


def _safe(interrupt: Interrupt) -> str:
    try:
        return _written_out(interrupt)
    except Exception:
        return f"Interrupt(value=<{type(interrupt.value).__name__}>, id={interrupt.id!r})"


def install() -> None:
    """Have all interrupts of this process written so."""
    Interrupt.__repr__ = _safe  # type: ignore[method-assign, assignment]
