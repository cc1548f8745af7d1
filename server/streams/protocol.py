"""From what a run streams to the events of LangGraph's event protocol, version 2.

A `Projection` is fed the events of one run from its beginning, and nothing else: so a client that
comes back, to whichever process, is told the same events under the same ids and numbers. Types:
`langchain_protocol`; names are in snake_case, as its clients send and read them.

A run that does not stream what is asked for, as one that another door has started, shows its
lifecycle, and at its end its state and its answers.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from everturn.server.streams.feed import GAP, Cursor
from everturn.server.streams.message_events import Messages
from everturn.server.turns.turn import BLOCK

_INTERRUPT = "__interrupt__"
_RUN_BITS = 23
"""Of an event's number, of which JavaScript knows 53 bits: so 2^30 runs have numbers of their own,
each of them 2^19 parts that mostly become up to 2^4 events."""
_ATTEMPT_BITS, _PART_BITS = 20, 4
_TIMED = 7
"""The version of the ids that begin with the moment at which they were made."""

Namespace = tuple[str, ...]


class ProtocolEvent(NamedTuple):
    """One event: what it says, `data` in JSON, and where it stands."""

    run_id: str
    """Empty for an edit of the thread's state, to which nobody can come back."""
    cursor: Cursor
    part: int
    """Which of the events that become of one part of the run's stream."""
    seq: int | None
    """Its number on the thread; None where the run has no place there any more."""
    method: str
    namespace: Namespace
    data: bytes
    at: int = 0
    """When it happened, in ms since the epoch; 0 where that is not known."""

    @property
    def place(self) -> str | None:
        """Its id, as clients name it to come back here."""
        return f"{self.run_id}.{self.cursor}.{self.part}" if self.run_id else None

    def as_json(self) -> bytes:
        """Write it, with the moment at which it happened, or else with this one."""
        name, timestamp = self.place, self.at or time.time_ns() // 1_000_000
        if self.method == "lifecycle" and not self.namespace:
            # Clients read from an id of this form of which run it is.
            name = f"synth:{self.run_id}:{self.cursor}.{self.part}"
        return b'{"type":"event",%s%s"method":"%s","params":{%s,"timestamp":%d,"data":%s}}' % (
            b'"event_id":"%s",' % name.encode() if name else b"",
            b"" if self.seq is None else b'"seq":%d,' % self.seq,
            self.method.encode(),
            b'"namespace":%s' % orjson.dumps(self.namespace),
            timestamp,
            self.data,
        )


class Final(NamedTuple):
    """What a run came to."""

    status: str | None
    """Of its row; None where that is deleted."""
    values: Mapping[str, Any] | None = None
    """The state of its thread, in which messages are JSON, where the run did not stream it."""
    interrupts: Sequence[Mapping[str, Any]] = ()
    """What it waits for: each has `id` and `value`."""
    at: int = 0
    """When it ended, in ms since the epoch; 0 where that is not known."""


def first_seq(position: int) -> int:
    """The number on its thread after which those of a run's events come.

    Args:
        position: of its row, which grows from run to run.
    """
    return position << _RUN_BITS


def position_of(seq: int) -> int:
    """The position of the run that an event with a number is of."""
    return seq >> _RUN_BITS


class Projection:
    """Turns what one run streams into protocol events."""

    def __init__(
        self, run_id: str, position: int | None = None, answered: Sequence[str] = ()
    ) -> None:
        """Begin with a run.

        Args:
            run_id: names it.
            position: of its row; None where that is deleted.
            answered: the ids of the interrupts that it was started to answer.
        """
        self.run_id = run_id
        self._answered = answered
        self._first = None if position is None else first_seq(position)
        self._seq = -1
        """The newest number that was given."""
        self._cursor = Cursor()
        self._at = _made_at(run_id)
        self._part = 0
        self._messages: dict[Namespace, Messages] = {}
        self._subgraphs: dict[Namespace, str] = {}
        """Those under way, by their namespaces, and the tasks that run them."""
        self._seen: set[Namespace] = set()
        self._requested: set[str] = set()
        self._has_begun = self._has_values = False
        self._state: bytes | None = None
        """Of the thread, as it was streamed last."""
        self._gone: list[str] = []
        """Messages that were told, and that no state will have."""
        self._failed: str | None = None
        self._tellers: dict[str, Callable[[Namespace, bytes], Iterator[ProtocolEvent]]] = {
            "metadata": self._begins,
            "messages": self._message,
            BLOCK: self._block,
            "values": self._values,
            "updates": self._updates,
            "tasks": self._task,
            "tools": self._tool,
            "checkpoints": self._checkpoint,
            "custom": self._custom,
            "error": self._fails,
            GAP: self._gap,
        }

    @property
    def shows_state(self) -> bool:
        """Whether the run has streamed its state, or that it failed."""
        return self._has_values or self._failed is not None

    def take(self, cursor: Cursor, name: str, data: bytes, at: int = 0) -> Iterator[ProtocolEvent]:
        """Yield what becomes of one event of the run, which happened `at`, in ms."""
        self._cursor, self._part, self._at = cursor, 0, at or self._at
        mode, *within = name.split("|")
        if mode.startswith("custom:"):
            return self._channel(tuple(within), mode.removeprefix("custom:"), data)
        return self._tellers[mode](tuple(within), data) if mode in self._tellers else iter(())

    def end(self, final: Final) -> Iterator[ProtocolEvent]:
        """Yield what is to be said at the end of the run."""
        self._next()
        if not self._has_begun:  # it streams nothing at all
            yield from self._begins((), b"")
        self._at = final.at or self._at
        yield from self._last(final)
        if final.status != "success":
            yield from self._take_back_all(Messages.open, "the run has ended before its end")
        self._state = None
        yield from self._finish_messages()
        # However much of the state was told: whoever has the end of a run has all of it.
        self._next()
        status, error = self._outcome(final.status)
        for namespace in list(self._subgraphs):
            yield self._lifecycle(namespace, status, error)
        yield self._lifecycle((), status, error)

    def _next(self) -> None:
        self._cursor, self._part = self._cursor._replace(number=self._cursor.number + 1), 0

    def _outcome(self, status: str | None) -> tuple[str, str | None]:
        """How the run ended, as the lifecycle has it.

        It is interrupted where it waits for an answer, and only there: at an interruption the
        Python client waits for one. So a run that was cancelled is a completed one.
        """
        if self._failed or status in {"error", "timeout"}:
            return "failed", self._failed or f"The run ended in the status {status!r}."
        return ("interrupted" if self._requested else "completed"), None

    def _message(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        message, metadata = orjson.loads(data)
        for said in self._messages_of(namespace).take(message, metadata):
            yield self._event("messages", namespace, said)

    def _block(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        """Pass on a piece of a message of a graph that tells its messages itself."""
        self._messages_of(namespace)  # so that none is told again at the end
        yield self._raw("messages", namespace, data)

    def _channel(self, namespace: Namespace, name: str, data: bytes) -> Iterator[ProtocolEvent]:
        """Tell what a transformer of the graph has put into a channel of its own."""
        yield self._event("custom", namespace, {"name": name, "payload": orjson.loads(data)})

    def _begins(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        """An attempt begins; what one before it has said in vain is taken back."""
        self._failed = None
        self._has_begun = True
        yield self._lifecycle((), "running")
        if self._answered:
            yield self._event("input.answered", (), {"interrupt_ids": self._answered})
        yield from self._take_back_all(Messages.told, "the run has begun anew")

    def _fails(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        error = orjson.loads(data)
        self._failed = f"{error.get('error')}: {error.get('message')}"
        yield from ()

    def _gap(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        yield self._event("custom", (), {"name": GAP, "payload": orjson.loads(data)})

    def _tool(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        yield self._raw("tools", namespace, data)

    def _checkpoint(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        yield self._event("checkpoints", namespace, _checkpoint(orjson.loads(data)))

    def _values(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        if b'"%s"' % _INTERRUPT.encode() in data:
            values = orjson.loads(data)
            interrupts = values.pop(_INTERRUPT, ()) if isinstance(values, dict) else ()
            for each in interrupts:
                yield from self._request(namespace, each)
            if interrupts and not values:
                return
            data = orjson.dumps(values)
        if namespace:
            yield self._raw("values", namespace, data)
        else:
            self._has_values = True
            yield from self._show(data)

    def _show(self, state: bytes) -> Iterator[ProtocolEvent]:
        """Show the state of the thread.

        LangGraph's clients drop a message that one state has and the next has not: so those that
        were taken back are in one.
        """
        if self._gone and (messages := _messages(state)):
            gone = [{"type": "ai", "id": each, "content": ""} for each in self._gone]
            values = {**orjson.loads(state), "messages": [*messages, *gone]}
            yield self._event("values", (), values)
            self._gone = []
        self._state = state
        yield self._raw("values", (), state)

    def _take_back_all(
        self, which: Callable[[Messages], list[str]], reason: str
    ) -> Iterator[ProtocolEvent]:
        """Take back messages that the state has not."""
        kept = {message.get("id") for message in _messages(self._state)}
        for namespace, messages in self._messages.items():
            for message_id in which(messages):
                if message_id not in kept:
                    yield from self._take_back(namespace, message_id, reason)
        yield from self._drop_gone()

    def _drop_gone(self) -> Iterator[ProtocolEvent]:
        if self._gone and self._state is not None:
            yield from self._show(self._state)

    def _take_back(
        self, namespace: Namespace, message_id: str, reason: str
    ) -> Iterator[ProtocolEvent]:
        for back in self._messages_of(namespace).take_back(message_id, reason):
            self._gone.append(message_id)
            yield self._event("messages", namespace, back)

    def _updates(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        for node, update in orjson.loads(data).items():
            if node == _INTERRUPT:
                for each in update:
                    yield from self._request(namespace, each)
            else:
                values = update if isinstance(update, dict) else {"value": update}
                yield self._event("updates", namespace, {"node": node, "values": values})

    def _request(
        self, namespace: Namespace, interrupt: Mapping[str, Any]
    ) -> Iterator[ProtocolEvent]:
        """Ask for input once: the parent graphs repeat what a subgraph asks."""
        interrupt_id = str(interrupt["id"])
        if interrupt_id not in self._requested:
            self._requested.add(interrupt_id)
            value = interrupt.get("value")
            # The protocol has `payload`; the Python client reads `value`.
            asked = {"interrupt_id": interrupt_id, "payload": value, "value": value}
            if schema := interrupt.get("response_schema"):
                asked["response_schema"] = schema
            yield self._event("input.requested", namespace, asked)

    def _task(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        """Pass on a task, and tell of the subgraph that it is of, or that it has run.

        The last part of a subgraph's namespace is `node:id of the task`.
        """
        task = orjson.loads(data)
        if "result" in task:
            yield from self._subgraph_ends(namespace, task)
        elif namespace and namespace not in self._seen:
            self._seen.add(namespace)
            node, _, task_id = namespace[-1].partition(":")
            self._subgraphs[namespace] = task_id
            yield self._lifecycle(namespace, "started", graph_name=node)
        yield self._raw("tasks", namespace, data)

    def _subgraph_ends(
        self, namespace: Namespace, task: Mapping[str, Any]
    ) -> Iterator[ProtocolEvent]:
        for inner, task_id in list(self._subgraphs.items()):
            if inner[:-1] == namespace and task_id == task.get("id"):
                if messages := self._messages.get(inner):
                    for said in messages.finish():
                        yield self._event("messages", inner, said)
                error = task.get("error")
                asks = bool(task.get("interrupts"))
                status = "failed" if error else "interrupted" if asks else "completed"
                del self._subgraphs[inner]
                yield self._lifecycle(inner, status, str(error) if error else None)

    def _custom(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        """Pass on what a node says; words that are taken back end their message, too."""
        said = orjson.loads(data)
        kind = said.get("type") if isinstance(said, dict) else None
        if kind == "reset":
            message_id, reason = str(said.get("message_id")), str(said.get("reason"))
            yield from self._take_back(namespace, message_id, reason)
            yield from self._drop_gone()
        name = said.get("name") or kind if isinstance(said, dict) else None
        named = {"name": name} if isinstance(name, str) else {}
        yield self._event("custom", namespace, {**named, "payload": said})

    def _last(self, final: Final) -> Iterator[ProtocolEvent]:
        """Show the state and the answers of a run that has streamed none of it."""
        state = self._state if final.values is None else orjson.dumps(final.values)
        if final.values is not None or not self._messages:
            messages = self._messages_of(())
            for message in _answers(_messages(state)):
                if not messages.knows(str(message.get("id"))):
                    for said in messages.take(message, {}):
                        yield self._event("messages", (), said)
        if final.values is not None and state is not None:
            yield from self._show(state)
        for each in final.interrupts:
            yield from self._request((), each)

    def _messages_of(self, namespace: Namespace) -> Messages:
        return self._messages.setdefault(namespace, Messages())

    def _finish_messages(self) -> Iterator[ProtocolEvent]:
        for namespace, messages in self._messages.items():
            for said in messages.finish():
                yield self._event("messages", namespace, said)

    def _lifecycle(
        self, namespace: Namespace, event: str, error: str | None = None, **more: str
    ) -> ProtocolEvent:
        said = {"event": event, **more, **({"error": error} if error else {})}
        return self._event("lifecycle", namespace, said)

    def _event(self, method: str, namespace: Namespace, data: Any) -> ProtocolEvent:
        return self._raw(method, namespace, orjson.dumps(data))

    def _raw(self, method: str, namespace: Namespace, data: bytes) -> ProtocolEvent:
        part, cursor = self._part, self._cursor
        self._part += 1
        seq = None
        if self._first is not None:
            retried = max(0, cursor.attempt - 1) << _ATTEMPT_BITS
            seq = self._first + retried + (cursor.number << _PART_BITS) + part
            # A part of very many events takes numbers of the next one, which then counts on.
            seq = self._seq = max(seq, self._seq + 1)
        return ProtocolEvent(self.run_id, cursor, part, seq, method, namespace, data, self._at)


def _made_at(run_id: str) -> int:
    """When a run was made, in ms since the epoch, as its id says (RFC 9562, version 7)."""
    try:
        made = UUID(run_id)
    except ValueError:
        return 0
    return made.int >> 80 if made.version == _TIMED else 0


def _checkpoint(streamed: Mapping[str, Any]) -> dict[str, Any]:
    """Where a checkpoint lies; its state is for `state.get` and the channel `values`."""
    metadata = streamed.get("metadata") or {}
    parent = _id_of(streamed.get("parent_config"))
    return {
        "id": _id_of(streamed.get("config")) or "",
        **({"parent_id": parent} if parent else {}),
        "step": metadata.get("step", -1),
        "source": metadata.get("source", "loop"),
    }


def _id_of(config: Mapping[str, Any] | None) -> str | None:
    found = ((config or {}).get("configurable") or {}).get("checkpoint_id")
    return str(found) if found else None


def _messages(state: bytes | None) -> list[dict[str, Any]]:
    values = orjson.loads(state) if state else None
    messages = values.get("messages") if isinstance(values, dict) else None
    listed: list[Any] = messages if isinstance(messages, list) else []
    return [each for each in listed if isinstance(each, dict)]


def _answers(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The messages of the model since the user's last one."""
    answers: list[Mapping[str, Any]] = []
    for message in reversed(messages):
        if message.get("type") == "human":
            break
        if message.get("type") == "ai":
            answers.append(message)
    return answers[::-1]
