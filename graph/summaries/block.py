"""Which messages are summed up next, and whether a summary is still of the thread it is kept in."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from everturn.graph.state import Summary
from everturn.graph.steps.tokens import reckoned

_LEAST, _MOST = 6, 60
"""Messages that are summed up at once; more, where one turn has more."""
_MAX_MESSAGE, _MAX_TRANSCRIPT = 1_500, 24_000  # characters


def still_of(summary: Any, messages: Sequence[AnyMessage]) -> Summary:
    """Return a summary, or an empty one where its messages are gone, removed or in another fork.

    A client may have written anything into the state: what is no summary is none.
    """
    match summary:
        case {"text": str(text), "through": str(through), "messages": int(count)}:
            if 0 < count <= len(messages) and messages[count - 1].id == through:
                by = summary.get("by")
                found = Summary(text=text, through=through, messages=count, tokens=reckoned(text))
                return {**found, "by": by} if isinstance(by, str) else found
    return Summary(text="", through="", messages=0, tokens=0)


def next_block(messages: Sequence[AnyMessage], covered: int, size: int, start: int) -> int | None:
    """Return up to where the next messages are to be summed up; None: not yet.

    They are whole turns, and not the current one. A quarter of the window before the first of them
    is no longer shown it is time, so that the summary is there when it is needed.

    Args:
        messages: the thread.
        covered: how many of them a summary has.
        size: of the window, in messages.
        start: where the window begins.
    """
    gone = max(start, len(messages) - size)
    if covered >= gone + size // 4:
        return None
    least = covered + max(_LEAST, size // 2, min(gone - covered, _MOST))
    users = [i for i, message in enumerate(messages) if isinstance(message, HumanMessage)]
    return next((i for i in users if i >= least), None)


def transcript(messages: Sequence[AnyMessage]) -> str:
    """Write messages down for the model that sums them up."""
    lines, left = [], _MAX_TRANSCRIPT
    for message in messages:
        said = " ".join(message.text.split())
        if isinstance(message, AIMessage) and message.tool_calls:
            said += " ".join(f" [calls {call['name']}]" for call in message.tool_calls)
        if not said.strip():
            continue
        line = f"{_who(message)}: {said[: min(_MAX_MESSAGE, max(left, 100))]}"
        left -= len(line)
        lines.append(line)
    return "\n".join(lines)


def digest_of(text: str) -> str:
    """Name a text, so that a summary is only used for what it was made of."""
    return blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()


def _who(message: AnyMessage) -> str:
    if isinstance(message, HumanMessage):
        return "user"
    return f"tool {message.name}" if isinstance(message, ToolMessage) else "assistant"
