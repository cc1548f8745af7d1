"""The answers of tool calls whose step is not stored yet.

A step may make several calls, and its checkpoint stands when the last one has answered. What the
others have answered is kept until then with the checkpoint that the step began from: a process that
dies takes no answer with it, and the next one makes only those calls again that had none. The put
of the step's own checkpoint removes them, so they cost no trip of their own (see put.lua).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig

from everturn.checkpoints.redis.address import Address
from everturn.checkpoints.redis.calls import Operation, Threads
from everturn.checkpoints.redis.codec import Unserializable
from everturn.checkpoints.redis.keyspace import answer_at, answer_name, text
from everturn.checkpoints.redis.writing import taken_over

_NS_SEPARATOR = "|"
_DURABILITY = "__pregel_durability"  # LangGraph's: how often a run's checkpoints are stored


class Step(NamedTuple):
    """A step of a graph, by the checkpoint that it began from."""

    address: Address
    ns: str
    checkpoint_id: str

    @classmethod
    def of(cls, config: RunnableConfig) -> "Step | None":
        """Read the config of a node; None where its run stores no checkpoint before its end."""
        named: Mapping[str, Any] = config.get("configurable") or {}
        # A node's own namespace is that of its graph and its task.
        ns, _, _ = str(named.get("checkpoint_ns") or "").rpartition(_NS_SEPARATOR)
        checkpoint_id = (named.get("checkpoint_map") or {}).get(ns)
        stored = named.get("thread_id") is not None and named.get(_DURABILITY) != "exit"
        return cls(Address.of(config), ns, checkpoint_id) if stored and checkpoint_id else None


def keep(threads: Threads, step: Step, call_id: str, answer: Any) -> Operation[None]:
    """Keeps an answer; the first one stays."""
    try:
        kind, body = threads.serde.dumps_typed(answer)
    except Exception as error:
        raise Unserializable(f"The answer to tool call {call_id!r} cannot be stored.") from error
    name = answer_name(step.ns, step.checkpoint_id, call_id)
    reply = yield threads.call("keep_answer", step.address, name, kind.encode() + b"\0" + body)
    if isinstance(reply, bytes):
        raise taken_over(step.address, reply)


def kept(threads: Threads, step: Step) -> Operation[dict[str, Any]]:
    """What is kept of a step, by the ids of the calls."""
    place = text(step.ns), text(step.checkpoint_id)
    reply = yield threads.call("answers", step.address, *place)
    found = {}
    for name, stored in zip(reply[::2], reply[1::2], strict=True):
        kind, _, body = stored.partition(b"\0")
        found[answer_at(name)] = threads.serde.loads_typed((kind.decode(), body))
    return found
