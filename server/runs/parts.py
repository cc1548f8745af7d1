"""From what a graph streams to the events that LangGraph's clients know, by name and shape.

`messages` is the one mode with a memory: its `messages/partial` hold all of a message so far, so
chunks are added up; `messages-tuple` passes them on, which costs a client less. The other modes go
through as they are. What a subgraph sends has its namespace behind the name: `updates|research:…`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message
from langgraph.types import StreamMode as GraphMode

from server.runs.engine import Part
from server.runs.run import StreamMode

Named = tuple[str, Any]

_WITH_CONFIG = frozenset({"debug", "checkpoints", "tasks", "events"})


def graph_modes(modes: Sequence[StreamMode]) -> tuple[GraphMode, ...]:
    """The modes that a graph is run with to serve those that were asked for."""
    asked: list[GraphMode] = []
    for mode in modes:
        if mode in {"messages", "messages-tuple"}:
            asked.append("messages")
        elif mode != "events":
            asked.append(mode)  # type: ignore[arg-type]  # the rest are LangGraph's own
    return tuple(dict.fromkeys(asked))


class Parts:
    """Names the parts of one run."""

    def __init__(self, modes: Sequence[StreamMode]) -> None:
        self._modes = frozenset(modes)
        self._messages: dict[str, BaseMessage] = {}

    def named(self, part: Part) -> Iterator[Named]:
        """The events that a part becomes; none for a mode that was not asked for."""
        if part.mode == "messages":
            message, metadata = part.data
            if "messages-tuple" in self._modes:
                yield _name("messages", part.namespace), [message, _public(metadata)]
            if "messages" in self._modes:
                yield from self._whole(message, metadata, part.namespace)
        elif part.mode in self._modes:
            data = public(part.data) if part.mode in _WITH_CONFIG else part.data
            yield _name(part.mode, part.namespace), data

    def _whole(
        self, message: BaseMessage, metadata: dict[str, Any], namespace: Sequence[str]
    ) -> Iterator[Named]:
        known = self._messages.get(message.id or "")
        if known is None:
            about = {message.id: {"metadata": _public(metadata)}}
            yield _name("messages/metadata", namespace), about
        if not isinstance(message, BaseMessageChunk):
            self._messages[message.id or ""] = message
            yield _name("messages/complete", namespace), [message]
            return
        whole = known + message if isinstance(known, BaseMessageChunk) else message
        self._messages[message.id or ""] = whole
        shown = message_chunk_to_message(whole)
        yield _name("messages/partial", namespace), [shown]


def public(value: Any) -> Any:
    """Drop the internal keys of every `configurable` inside: services, fences, tasks."""
    if isinstance(value, Mapping):
        return {
            key: _without_internal(inner) if key == "configurable" else public(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [public(item) for item in value]
    return value


def _without_internal(configurable: Any) -> Any:
    if not isinstance(configurable, Mapping):
        return configurable
    return {k: v for k, v in configurable.items() if not str(k).startswith("__")}


def _name(mode: str, namespace: Sequence[str]) -> str:
    return "|".join((mode, *namespace))


def _public(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if not key.startswith("__")}
