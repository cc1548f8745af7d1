"""One call of a model: what limits it, and what became of it, whether it failed or not."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graph.models.answer import Answer
from graph.models.failures import Failure

if TYPE_CHECKING:
    from graph.models.openai_chat import OpenAIChat


@dataclass(slots=True)
class Call:
    """Goes into a call as `call=` and is filled while it runs."""

    end: float = float("inf")
    """The moment, in the event loop's seconds, at which it must have ended."""
    rival: "OpenAIChat | None" = None
    """Asked too when the model is slow to begin."""
    hedge_after: float = 0.0
    """Seconds the model has before its rival is asked."""
    model: str = ""
    """Who answered, or failed last: the model or its rival."""
    answer: Answer = field(default_factory=Answer)
    """What was heard, whole or not."""
    first_token: float | None = None
    """Seconds until it began, since `model` was asked."""
    streamed: bool = False
    """Its pieces were shown to whoever watches."""
    lost: dict[str, Failure] = field(default_factory=dict)
    """Who else was asked, in a race, and did not answer."""
