"""From what a graph streams to the events that LangGraph's clients know, by name and shape.

`messages` is the one mode with a memory: its `messages/partial` hold all of a message so far, so
chunks are added up, and those of a long message are shown several at once: each time, all of it is
read and sent anew. `messages-tuple` passes chunks on, which costs a client less. The other modes go
through as they are. What a subgraph sends has its namespace behind the name: `updates|research:…`;
not so the whole messages.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message
from langgraph.types import StreamMode as GraphMode

from everturn.checkpoints.confidential import split
from everturn.server.access.caller import without_caller
from everturn.server.turns.places import place_as_json
from everturn.server.turns.turn import Part

StreamMode = Literal[
    "values",
    "messages",
    "messages-tuple",
    "updates",
    "events",
    "tasks",
    "checkpoints",
    "debug",
    "custom",
]
"""The stream modes of LangGraph's clients."""

PROTOCOL_MODES: tuple[StreamMode | Literal["tools"], ...] = (
    "values",
    "updates",
    "messages-tuple",
    "tools",
    "tasks",
    "checkpoints",
    "custom",
)
"""Of a run that is started over the event protocol: whatever its clients may subscribe to."""

SUMMARY: Literal["summary"] = "summary"
"""A mode of our own: one event at the end of a turn that is stored, which says what it came to."""

STANDING = "standing"
"""An event of those that ask for `SUMMARY`: which answers of the attempts before a new one keeps,
`[{id, content}]`."""

Named = tuple[str, Any]

_LONG = 8_192
"""Characters, about: of a message that has more, the next partial is for a 32nd of it."""
_STEP = 32

_MAX_DEPTH = 200
"""LangGraph's configs are not so deep inside."""

_WITH_CONFIG = frozenset({"debug", "checkpoints", "tasks", "events"})


def graph_modes(modes: Sequence[str]) -> tuple[GraphMode, ...]:
    """The modes that a graph is run with to serve those that were asked for."""
    asked: list[GraphMode] = []
    for mode in modes:
        if mode in {"messages", "messages-tuple"}:
            asked.append("messages")
        elif mode not in {"events", SUMMARY}:
            asked.append(mode)  # type: ignore[arg-type]  # the rest are LangGraph's own
    return tuple(dict.fromkeys(asked))


class Parts:
    """Names the parts of one run."""

    def __init__(self, modes: Sequence[str]) -> None:
        self._modes = frozenset(modes)
        self._messages: dict[str, BaseMessage] = {}
        self._growing: dict[str, _Growing] = {}
        self._metadata: dict[str, Any] = {}
        self._shown: dict[str, Any] = {}
        """What clients see of the metadata above: all chunks of a message bear the same."""

    def named(self, part: Part) -> Iterator[Named]:
        """The events that a part becomes; none for a mode that was not asked for."""
        if part.mode == "messages":
            message, metadata = part.data
            if "messages-tuple" in self._modes:
                yield _name("messages", part.namespace), [message, self._public(metadata)]
            if "messages" in self._modes:
                yield from self._whole(message, metadata)
        elif part.unasked or part.mode in self._modes:
            data = public(part.data) if part.mode in _WITH_CONFIG else part.data
            if part.mode == "debug" and data["type"] == "checkpoint":
                data = {**data, "payload": _with_places(data["payload"])}
            yield _name(part.mode, part.namespace), data

    def _public(self, metadata: dict[str, Any]) -> dict[str, Any]:
        if metadata is not self._metadata:
            self._metadata, self._shown = metadata, _public(metadata)
        return self._shown

    def _whole(self, message: BaseMessage, metadata: dict[str, Any]) -> Iterator[Named]:
        """Tell a message under names without a namespace, whichever graph it is of."""
        known = self._messages.get(message.id or "")
        if known is None:
            yield "messages/metadata", {message.id: {"metadata": _public(metadata)}}
        if not isinstance(message, BaseMessageChunk):
            self._messages[message.id or ""] = message
            self._growing.pop(message.id or "", None)
            yield "messages/complete", [message]
            return
        growing = self._growing.setdefault(message.id or "", _Growing())
        if not growing.add(message):
            return
        more = growing.taken()
        if not isinstance(known, BaseMessageChunk):
            known = more.pop(0)
        whole = known + more if more else known
        self._messages[message.id or ""] = whole
        yield "messages/partial", [message_chunk_to_message(whole)]


@dataclass(slots=True)
class _Growing:
    """A message of which chunks wait to be shown."""

    chunks: list[BaseMessageChunk] = field(default_factory=list)
    shown: int = 0
    """Characters."""
    waiting: int = 0

    def add(self, chunk: BaseMessageChunk) -> bool:
        """Take a chunk in; say whether it is time to show the message."""
        self.chunks.append(chunk)
        self.waiting += _length(chunk)
        ends = getattr(chunk, "chunk_position", None) == "last"
        return ends or self.shown < _LONG or self.waiting * _STEP >= self.shown

    def taken(self) -> list[BaseMessageChunk]:
        """Return the chunks that wait, to be shown now."""
        chunks, self.chunks = self.chunks, []
        self.shown, self.waiting = self.shown + self.waiting, 0
        return chunks


def _length(chunk: BaseMessageChunk) -> int:
    """The characters of a chunk, about."""
    content, thought = chunk.content, chunk.additional_kwargs.get("reasoning_content")
    length = len(content) if isinstance(content, str) else len(str(content))
    length += len(thought) if isinstance(thought, str) else 0
    return length + sum(len(each["args"] or "") for each in getattr(chunk, "tool_call_chunks", ()))


def _with_places(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Say of a checkpoint where it lies, and where its subgraphs' do, as a thread's state does."""
    tasks = [
        {**{key: task[key] for key in task if key != "state"}, "checkpoint": _place(inner)}
        if isinstance(inner := task.get("state"), Mapping)
        else task
        for task in payload["tasks"]
    ]
    place, parent = _place(payload["config"]), _place(payload["parent_config"])
    return {**payload, "tasks": tasks, "checkpoint": place, "parent_checkpoint": parent}


def _place(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return place_as_json(config["configurable"]) if config else None


def public(value: Any, above: tuple[int, ...] = ()) -> Any:
    """Drop of every `configurable` inside what is internal, services and fences, and secrets.

    `above` are the ids of what holds the value: one that holds itself has no end.
    """
    if id(value) in above or len(above) > _MAX_DEPTH:
        return value
    within = (*above, id(value))
    if isinstance(value, Mapping):
        return {
            key: _without_internal(inner) if key == "configurable" else public(inner, within)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [public(item, within) for item in value]
    return value


def _without_internal(configurable: Any) -> Any:
    if not isinstance(configurable, Mapping):
        return configurable
    said = {k: v for k, v in configurable.items() if not str(k).startswith("__")}
    return split(without_caller(said)).shown


def _name(mode: str, namespace: Sequence[str]) -> str:
    return "|".join((mode, *namespace))


def _public(metadata: dict[str, Any]) -> dict[str, Any]:
    said = {key: value for key, value in metadata.items() if not key.startswith("__")}
    return without_caller(said)
