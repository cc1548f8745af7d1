"""What is asked of a graph once, and what comes out of it while it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from langgraph.runtime import RunControl
from langgraph.types import StreamMode

BLOCK = "block"
"""The mode of a piece of a message, where the graph tells its messages block by block."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One input for one graph, on one thread."""

    graph: str
    input: Any
    """An input of the graph's schema, a `Command`, or None: go on from the last checkpoint."""
    thread_id: str | None = None
    """The conversation; None runs the graph without memory."""
    context: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    services: Mapping[str, object] = field(default_factory=dict)
    """What this turn's nodes may use beside the engine's own services."""
    stream_modes: Sequence[StreamMode | Literal["tools"]] = ()
    ttl: int | None = None
    """Seconds the thread's checkpoints live after their last use; None keeps them."""
    events: bool = False
    """Also LangChain's own events, under the mode `events`."""
    subgraphs: bool = False
    """Also what subgraphs stream."""
    interrupt_before: Literal["*"] | Sequence[str] | None = None
    interrupt_after: Literal["*"] | Sequence[str] | None = None
    durability: Literal["sync", "async", "exit"] | None = None
    timeout: float | None = None
    """Seconds that it may take, where these are fewer than the engine's."""
    control: RunControl | None = None
    """Says when the graph is to stop between two steps, with GraphDrained."""


@dataclass(frozen=True, slots=True)
class Part:
    """One event of a running graph: a stream mode and what LangGraph sent under it."""

    mode: str
    data: Any
    namespace: tuple[str, ...] = ()
    """Of the subgraph that sent it; empty for the graph itself."""
    unasked: bool = False
    """Of no mode of LangGraph's: it is streamed whatever was asked for."""


class Checked(NamedTuple):
    """What was found out about a turn that can be run."""

    context: Any
    """In the graph's own type; as it came, for a graph that is made when it is run."""
    candidates: Sequence[str]
    """The models that would be asked, in order; empty where the graph does not say."""
