"""What a caller's config says: which thread, namespace and checkpoint, and on what terms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from langchain_core.runnables import RunnableConfig

TTL_KEY = "__ttl"
FENCE_KEY = "__fence"

# Lua holds numbers as doubles: above this a token and the next one look the same.
_MAX_FENCE = 2**53


@dataclass(frozen=True, slots=True)
class Unsent:
    """A number in a run's config that is for this process alone.

    A `RemoteGraph` sends the numbers of its run's config on to another service.
    """

    value: int


class Address(NamedTuple):
    """A place in a thread; no `checkpoint_id` means the latest, no `ns` the root or all of them."""

    thread_id: str
    ns: str | None = None
    checkpoint_id: str | None = None
    ttl: int | None = None
    fence: int | None = None

    @classmethod
    def of(cls, config: RunnableConfig) -> Self:
        """Reads a config; raises ValueError for one that names no thread."""
        named: dict[str, Any] = config.get("configurable") or {}
        if named.get("thread_id") is None:
            raise ValueError('The checkpointer needs config["configurable"]["thread_id"].')
        return cls(
            thread_id=str(named["thread_id"]),
            ns=_text(named, "checkpoint_ns"),
            checkpoint_id=_text(named, "checkpoint_id") or None,
            ttl=_whole_number(named.get(TTL_KEY), TTL_KEY, 2**31),
            fence=_whole_number(named.get(FENCE_KEY), FENCE_KEY, _MAX_FENCE),
        )

    def admits(self, ns: str, checkpoint_id: str) -> bool:
        """Whether a checkpoint of this thread lies here."""
        return self.ns in (None, ns) and self.checkpoint_id in (None, checkpoint_id)

    def config(self, checkpoint_id: str, ns: str | None = None) -> RunnableConfig:
        """The config of a checkpoint of this thread."""
        return {
            "configurable": {
                "thread_id": self.thread_id,
                "checkpoint_ns": (self.ns or "") if ns is None else ns,
                "checkpoint_id": checkpoint_id,
            }
        }


def _text(named: Mapping[str, Any], name: str) -> str | None:
    value = named.get(name)
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f'config["configurable"]["{name}"] must be a string, not {value!r}.')


def _whole_number(value: object, name: str, limit: int) -> int | None:
    value = value.value if isinstance(value, Unsent) else value
    if value is None or (type(value) is int and 0 <= value < limit):
        return value
    raise ValueError(f'config["configurable"]["{name}"] must be a whole number, not {value!r}.')
