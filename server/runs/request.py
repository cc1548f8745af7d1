"""What is asked of a run, by whichever door."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

from everturn.checkpoints.sql.runs import MultitaskStrategy
from everturn.server.streams.modes import StreamMode

inherited: ContextVar[Mapping[str, str] | None] = ContextVar("inherited", default=None)
"""What the runs of the current request get as `configurable` values, unless they say their own."""


CRON_DOOR = "/runs/crons"
"""Of runs that start by the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run as a client asks for it. Names and meaning are those of LangGraph's SDK."""

    assistant_id: str
    """An assistant's id, or a graph's name."""
    thread_id: str | None = None
    """None: a thread of the run's own."""
    input: Any = None
    command: Mapping[str, Any] | None = None
    stream_mode: Sequence[StreamMode | Literal["summary", "tools"]] = ("values",)
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] | None = None
    checkpoint_id: str | None = None
    interrupt_before: Literal["*"] | Sequence[str] | None = None
    interrupt_after: Literal["*"] | Sequence[str] | None = None
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] = "delete"
    """Of a thread of the run's own."""
    multitask_strategy: MultitaskStrategy = "enqueue"
    webhook: str | None = None
    """Where the end is reported, by POST."""
    if_not_exists: Literal["create", "reject"] = "reject"
    after_seconds: float = 0
    durability: Literal["sync", "async", "exit"] | None = None
    """None: `async`; on a thread that goes with the run `exit`."""

    background: bool = False
    """No client waits for it: it is acknowledged when its row is committed."""
    door: str = "/runs"
    """The route that asked, as metrics and the log name it."""
    interactive: bool = False
    """A client waits for this one turn: what cannot be run is refused at once, and its thread is
    waited for EVERTURN_THREAD_WAIT seconds. Else both are as LangGraph's own server has them."""
    without_memory: bool = False
    """The graph runs without a checkpointer: it can neither wait for an answer nor be joined."""
    answers: str | Sequence[str] | None = None
    """The ids of the interrupts that the command answers, or of one; all must still wait."""
    history: bool = False
    """Write the finished turn into the chat history."""
    idempotent: bool = False
    """It was sent with an `Idempotency-Key`; see `to_be_sent_again`."""
    traceparent: str | None = None
    """Names the span of the request that asked, by W3C's Trace Context; None where none is made."""

    @property
    def recorded(self) -> bool:
        """Whether it has a row: others may ask for it, or go on with it."""
        return self.lasting or self.background or self.idempotent

    @property
    def lasting(self) -> bool:
        """Whether the run's thread is there after it."""
        return self.thread_id is not None or self.on_completion == "keep"

    @property
    def joined_later(self) -> bool:
        """Whether clients may come for its events some time after its end.

        For those of a stream with ids to come back with, or for all that is left of a run without
        a thread. The events of the others are kept for seconds.
        """
        streamed = self.interactive and bool(self.stream_mode)
        return self.stream_resumable or streamed or (self.background and not self.lasting)

    def with_inherited(self) -> Self:
        """Take over what the current request hands on."""
        if not (values := inherited.get()):
            return self
        own = self.config.get("configurable") or {}
        return replace(self, config={**self.config, "configurable": {**values, **own}})

    def to_be_sent_again(self) -> Self:
        """Keep what it comes to, and go on when its client leaves, who may send it again."""
        return replace(self, idempotent=True, on_disconnect="continue")

    def kwargs(self) -> dict[str, Any]:
        """What the run's row keeps of it, as `kwargs`: clients see it, and a recovery needs it."""
        own = {name: getattr(self, name) for name in _OWN}
        return {
            "input": self.input,
            "command": self.command,
            "config": dict(self.config),
            "context": dict(self.context),
            "stream_mode": list(self.stream_mode),
            "interrupt_before": self.interrupt_before,
            "interrupt_after": self.interrupt_after,
            "subgraphs": self.stream_subgraphs,
            "resumable": self.stream_resumable,
            "durability": self.durability,
            "checkpoint": self.checkpoint,
            "checkpoint_id": self.checkpoint_id,
            "after_seconds": self.after_seconds,
            "webhook": self.webhook,
            "temporary": not self.lasting,
            **{name: value for name, value in own.items() if value and value != "/runs"},
        }

    @classmethod
    def of_kwargs(cls, thread_id: str | None, assistant_id: str, kwargs: Mapping[str, Any]) -> Self:
        """The request that a run's row was made of."""
        names = {each.name for each in fields(cls)} & kwargs.keys() - {"thread_id", "assistant_id"}
        renamed = {
            "stream_subgraphs": kwargs.get("subgraphs", False),
            "stream_resumable": kwargs.get("resumable", False),
        }
        chosen = {name: kwargs[name] for name in names}
        # A temporary thread is the run's own, and goes with it.
        where = None if kwargs.get("temporary") else thread_id
        return cls(thread_id=where, assistant_id=assistant_id, background=True, **chosen, **renamed)


_OWN = ("door", "answers", "history", "interactive", "without_memory", "idempotent", "traceparent")
"""What rows keep beside what LangGraph's have, where it is said."""
