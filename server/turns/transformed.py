"""Runs a graph that has stream transformers of its own: they see protocol events, and make more.

Only LangGraph's own protocol stream runs them, which tells messages block by block. Without them
graphs stream as ever: there a model's messages stay in the state as they are.
"""

import warnings
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from langchain_core._api import LangChainBetaWarning
from langchain_core.runnables import RunnableConfig
from langgraph.stream import ProtocolEvent, StreamTransformer

from everturn.server.projects.graphs import Graph
from everturn.server.turns.turn import BLOCK, Part

_HIDDEN = frozenset({"tasks", "tools"})
"""Channels that LangGraph's transformers make something else of, and keep from the stream."""


class _Everything(StreamTransformer):
    """Asks for every channel, and keeps what the others keep to themselves."""

    before_builtins = True
    required_stream_modes = ("updates", "checkpoints", "custom", "tasks", "tools")

    def __init__(self, kept: list[ProtocolEvent], scope: tuple[str, ...]) -> None:
        super().__init__(scope)
        self._kept = kept

    def init(self) -> dict[str, Any]:
        """Add no projection."""
        return {}

    def process(self, event: ProtocolEvent) -> bool:
        """Let an event pass."""
        if event["method"] in _HIDDEN and not self.scope:  # those of subgraphs come here, too
            self._kept.append(event)
        return True


async def transformed(
    graph: Graph, asked: Any, config: RunnableConfig, options: Mapping[str, Any]
) -> AsyncGenerator[Part]:
    """Yield the parts of a run whose events go through the graph's transformers."""
    kept: list[ProtocolEvent] = []
    messages: dict[str, str] = {}
    # LangGraph says which modes it needs, and that subgraphs are streamed.
    options = {k: v for k, v in options.items() if k not in {"stream_mode", "subgraphs"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangChainBetaWarning)
        stream = await graph.astream_events(
            asked,
            config,
            version="v3",
            transformers=[lambda scope: _Everything(kept, scope)],
            **options,
        )
    async with stream:
        async for event in stream:
            for earlier in kept:
                if earlier is not event:
                    yield _part(earlier, messages)
            kept.clear()
            if event["method"] not in {"lifecycle", *_HIDDEN}:  # told of by what tasks do
                yield _part(event, messages)
                if interrupts := event["params"].get("interrupts"):
                    yield Part("values", {"__interrupt__": interrupts}, _within(event))
    for last in kept:
        yield _part(last, messages)


def _within(event: ProtocolEvent) -> tuple[str, ...]:
    return tuple(event["params"]["namespace"])


def _part(event: ProtocolEvent, messages: dict[str, str]) -> Part:
    """Turn an event into a part; what follows a message's start is given the message's id."""
    mode, data = event["method"], event["params"]["data"]
    if mode == "messages":
        said, metadata = data
        if not isinstance(said, dict):
            return Part(mode, data, _within(event))
        call = str(metadata.get("run_id"))
        if said["event"] == "message-start":
            messages[call] = str(said.get("id") or said.get("message_id"))
            return Part(BLOCK, dict(said), _within(event), unasked=True)
        named = {**said, "message_id": messages.get(call, "")}
        return Part(BLOCK, named, _within(event), unasked=True)
    own = mode.startswith("custom:")  # a channel that a transformer has made
    return Part(mode, data, _within(event), unasked=own)
