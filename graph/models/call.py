"""One call of a model: what limits it, and what became of it, whether it failed or not."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from langchain_core.messages import AIMessage, BaseMessage

from everturn.graph.models.answer import Answer
from everturn.graph.models.blocks import Medium
from everturn.graph.models.failures import Failure, failure_of
from everturn.graph.models.reader import Chunk


class Racer(Protocol):
    """A model that can be asked beside another one in the same call."""

    model_name: str

    def stream_of(
        self, messages: list[BaseMessage], stop: list[str] | None, call: "Call", kwargs: Any
    ) -> AsyncGenerator[Chunk]:
        """Ask this model alone, within the limits of `call`, and yield its answer as it comes."""
        ...


class Screen(Protocol):
    """What decides how much of an answer may be shown, and when."""

    @property
    def blocked_by(self) -> str | None:
        """The guard that blocked the answer."""
        ...

    async def take(self, chunk: Chunk) -> list[Chunk]:
        """Return what may be shown and stored with a chunk."""
        ...

    def sign(self, answer: AIMessage) -> None:
        """Say in an answer what was found in it."""
        ...


@dataclass(slots=True)
class Call:
    """Passed to a model as `call=`, and filled while it runs."""

    end: float = float("inf")
    """The moment, in the event loop's seconds, at which it must have ended."""
    first_token_timeout: float | None = None
    """Seconds until its answer must have started; none: as the model is set up."""
    rivals: Sequence[Racer] = ()
    """Asked too, one after the other, when the model is slow to begin."""
    hedge_after: float = 0.0
    """Seconds the model has before its first rival is asked."""
    left_out: Mapping[str, Collection[Medium]] = field(default_factory=dict)
    """By model: what it is not shown of earlier turns."""
    model: str = ""
    """Which one answered, or failed last: the model or a rival."""
    answer: Answer = field(default_factory=Answer)
    """What was received, whole or not."""
    first_token: float | None = None
    """Seconds until it began, since `model` was asked."""
    streamed: bool = False
    """Its pieces were streamed to clients."""
    asked_at: dict[str, float] = field(default_factory=dict)
    """By model: the moment at which it was asked."""
    failures: dict[str, Failure] = field(default_factory=dict)
    """The others that were asked in a race and did not answer."""
    screen: Screen | None = None
    """Screens what is received, where guards are on."""
    _names: Sequence[str] = ()

    @property
    def written(self) -> list[dict[str, Any]]:
        """The answer's tool calls, as the model wrote them; an answer that is blocked has none."""
        return [] if self.screen and self.screen.blocked_by else self.answer.calls

    async def shown(self, chunk: Chunk) -> list[Chunk]:
        """Return what may be shown and stored with a chunk."""
        return await self.screen.take(chunk) if self.screen else [chunk]

    def sign(self, answer: AIMessage | None) -> None:
        """Say in the answer what was found in it."""
        if self.screen and answer is not None:
            self.screen.sign(answer)

    def begin(self, names: Sequence[str]) -> None:
        """Take the names of the model and its rivals."""
        self._names, self.model = names, names[0]

    def lost(self, number: int, error: BaseException | None) -> None:
        """Note that a racer is out: it failed, or was only slower."""
        self.failures[self._names[number]] = (
            failure_of(error)
            if isinstance(error, Exception)
            else Failure("outrun", f"{self.model} spoke first")
        )

    def decided(self, number: int) -> None:
        """Note whose answer or failure is the call's."""
        self.model = self._names[number]
