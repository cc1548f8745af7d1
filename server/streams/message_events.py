"""Chat messages as the event protocol tells them, block by block, from the chunks of a run.

    message-start -> (content-block-start -> content-block-delta … -> content-block-finish) … ->
    message-finish, or `error` where its words are taken back

A message that comes whole is told in the same way, without deltas. Types: `langchain_protocol`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from langchain_core.messages import AIMessage, AIMessageChunk

Data = dict[str, Any]

_ROLES = {"ai": "ai", "AIMessageChunk": "ai", "human": "human", "system": "system"}
"""Tools' results are told of on the channel `tools`, and in the state."""

_METADATA = ("langgraph_node", "langgraph_step", "run_id", "thread_id", "ls_provider")
_WORDS = {"text": ("text-delta", "text"), "reasoning": ("reasoning-delta", "reasoning")}
_CALLS = frozenset({"tool_call_chunk", "server_tool_call_chunk"})
_GROWING = frozenset({*_WORDS, *_CALLS})


@dataclass(slots=True)
class _Block:
    index: int
    content: Data
    words: list[str] = field(default_factory=list)
    """What its deltas have added; a long text would be copied with each."""


@dataclass(slots=True)
class _Message:
    """A message that is being told."""

    id: str
    task: str = ""
    """Which step of the graph it is of."""
    blocks: dict[tuple[str, Any], _Block] = field(default_factory=dict)
    begun: int = 0
    usage: Data | None = None
    model: str | None = None

    def take(self, block: Data) -> Iterator[Data]:
        """Tell a piece of a block: its beginning, where it is new, and what it adds."""
        kind = block["type"]
        known = self.blocks.get(key := (kind, block.get("index")))
        if known is None:
            yield from self._finish(_WORDS)  # they end where something else begins
            known = self.blocks[key] = _Block(self.begun, _empty(block))
            self.begun += 1
            yield _event("content-block-start", self.id, index=known.index, content=known.content)
        if delta := _delta(block):
            known.words.append(block.get(_key(kind)) or "")
            yield _event("content-block-delta", self.id, index=known.index, delta=delta)
        if kind not in _GROWING:
            yield from self._finish({kind})

    def finish(self) -> Iterator[Data]:
        """End the message."""
        yield from self._finish(_GROWING)
        usage = {"usage": self.usage} if self.usage else {}
        metadata = {"metadata": {"model_name": self.model}} if self.model else {}
        yield _event("message-finish", self.id, **usage, **metadata)

    def _finish(self, kinds: Collection[str]) -> Iterator[Data]:
        for key in [each for each in self.blocks if each[0] in kinds]:
            block = self.blocks.pop(key)
            content = _finished(_joined(block))
            yield _event("content-block-finish", self.id, index=block.index, content=content)


class Messages:
    """The messages of one namespace of a run."""

    def __init__(self) -> None:
        self._open: dict[str, _Message] = {}
        self._told: dict[str, None] = {}  # in their order
        self._several: set[str] = set()
        """Tasks that have several models speak at once."""

    def take(self, message: Mapping[str, Any], metadata: Mapping[str, Any]) -> Iterator[Data]:
        """Tell a message, or a chunk of one, as `messages-tuple` streams it in JSON."""
        kind, message_id = str(message.get("type")), str(message.get("id") or "")
        role = _ROLES.get(kind)
        if role is None or not message_id:
            return
        chunk = kind == "AIMessageChunk"
        told = self._open.get(message_id)
        if told is None:
            if message_id in self._told and not chunk:
                return
            task = str(metadata.get("langgraph_checkpoint_ns") or "")
            if message_id in self._told:  # it was not left: it speaks beside another one
                self._several.add(task)
            yield from self._leave(task)
            told = self._open[message_id] = _Message(message_id, task)
            self._told[message_id] = None
            about = {key: metadata[key] for key in _METADATA if metadata.get(key) is not None}
            yield _event("message-start", message_id, role=role, metadata=about)
        for block in _blocks(message, chunk=chunk):
            yield from told.take(block)
        told.usage = _usage(told.usage, message.get("usage_metadata"))
        told.model = (message.get("response_metadata") or {}).get("model_name") or told.model
        if not chunk or message.get("chunk_position") == "last":
            yield from self._end(told)

    def _leave(self, task: str) -> Iterator[Data]:
        """End what a task has left in the middle, to ask another model; others speak on."""
        if task not in self._several:
            for message in [each for each in self._open.values() if each.task == task]:
                yield from self._end(message)

    def finish(self) -> Iterator[Data]:
        """End what is open: no more of it will come."""
        for message in list(self._open.values()):
            yield from self._end(message)

    def take_back(self, message_id: str, reason: str) -> Iterator[Data]:
        """Tell that the words of a message are no answer: another one follows."""
        self._open.pop(message_id, None)
        if message_id in self._told:
            del self._told[message_id]
            yield _event("error", message_id, message=f"Taken back: {reason}", code="reset")

    def open(self) -> list[str]:
        """The ids of those that have not ended."""
        return list(self._open)

    def told(self) -> list[str]:
        """The ids of the messages that have been told of."""
        return list(self._told)

    def knows(self, message_id: str) -> bool:
        """Whether a message has been told of."""
        return message_id in self._told

    def _end(self, message: _Message) -> Iterator[Data]:
        del self._open[message.id]
        yield from message.finish()


def _event(event: str, message_id: str, **more: Any) -> Data:
    # Clients route what follows a message's start by its id, where several are told at once.
    named = {"id" if event == "message-start" else "message_id": message_id}
    return {"event": event, **named, **more}


def _blocks(message: Mapping[str, Any], *, chunk: bool) -> list[Data]:
    """The content of a message as LangChain's standard blocks."""
    content, extra = message.get("content"), message.get("additional_kwargs") or {}
    if isinstance(content, str) and not (message.get("tool_calls") and not chunk):
        blocks: list[Data] = []
        if reasoning := extra.get("reasoning_content"):
            blocks.append({"type": "reasoning", "reasoning": reasoning})
        if content:
            blocks.append({"type": "text", "text": content})
        calls = message.get("tool_call_chunks") if chunk else None
        return [*blocks, *({**call, "type": "tool_call_chunk"} for call in calls or ())]
    made = (AIMessageChunk if chunk else AIMessage).model_validate(
        {key: value for key, value in message.items() if key != "type"}
    )
    return [_plain(block) for block in made.content_blocks]


def _plain(block: Any) -> Data:
    return {
        key: value for key, value in block.items() if value is not None or key in {"id", "args"}
    }


def _empty(block: Data) -> Data:
    """A block as its start shows it: what deltas will add to is empty."""
    kind = block["type"]
    if kind in _WORDS:
        return {**block, _WORDS[kind][1]: ""}
    if kind in _CALLS:
        return {**block, "args": ""}
    return dict(block)


def _delta(block: Data) -> Data | None:
    kind = block["type"]
    if kind in _WORDS:
        name, key = _WORDS[kind]
        return {"type": name, key: block.get(key) or ""}
    if kind in _CALLS and block.get("args"):
        return {"type": "tool-call-delta", "args": block["args"]}
    return None


def _joined(block: _Block) -> Data:
    """A block with all that was added to it."""
    if not block.words:
        return block.content
    return {**block.content, _key(block.content["type"]): "".join(block.words)}


def _key(kind: str) -> str:
    """What of a block grows."""
    return "args" if kind in _CALLS else _WORDS[kind][1]


def _finished(content: Data) -> Data:
    """A whole block: a tool's arguments are read, or said to be wrong."""
    if content["type"] not in _CALLS:
        return content
    kept = {"id": content.get("id"), "name": content.get("name")}
    try:
        args = orjson.loads(content.get("args") or "{}")
    except orjson.JSONDecodeError as error:
        wrong = {**kept, "args": content.get("args"), "error": str(error)}
        return {"type": "invalid_tool_call", **wrong}
    server = content["type"] == "server_tool_call_chunk"
    return {"type": "server_tool_call" if server else "tool_call", **kept, "args": args}


def _usage(known: Data | None, more: Any) -> Data | None:
    """Add up the tokens: a provider may tell them in pieces."""
    if not isinstance(more, Mapping):
        return known
    if known is None:
        return dict(more)
    summed = {**known}
    for key, value in more.items():
        if isinstance(value, int):
            summed[key] = summed.get(key, 0) + value
        elif isinstance(value, Mapping):
            summed[key] = _usage(summed.get(key) or {}, value)
    return summed
