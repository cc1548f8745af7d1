r"""A checkpoint and a write, as bytes.

    checkpoint  parent \0 count \0 (flag channel \0 version \0)*  then a value: (rest, metadata)
    write       task path \0 channel \0  then a value

What stands before the value is what scripts must read: they follow parents, find the values of
channels by version and know which channels are deltas, all without opening a value (Lua takes no
part in serialising, and encrypted values are closed to it). Versions stand there only, as the
checkpoint's id stands in its name; the rest of the checkpoint and the metadata are one value.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    get_checkpoint_metadata,
    writes_sort_key,
)

from everturn.checkpoints.confidential import is_confidential
from everturn.checkpoints.redis.codec import Packer, Unpacker
from everturn.checkpoints.redis.keyspace import channel_at, join, text, untext, version_of, write_at

_PLAIN, _DELTA = b"v", b"d"
_CALLER = "langgraph_auth_"
_ELSEWHERE = {"id", "channel_versions", "channel_values"}


@dataclass(frozen=True, slots=True)
class Record:
    """A checkpoint as it lies in the store, without the values of its channels."""

    parent: str | None
    versions: ChannelVersions
    checkpoint: dict[str, Any]
    metadata: CheckpointMetadata


class StoredWrite(NamedTuple):
    """A pending write and what orders it."""

    task_path: str
    task_id: str
    idx: int
    channel: str
    value: Any


def pack_checkpoint(
    packer: Packer,
    config: RunnableConfig,
    parent: str | None,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
) -> bytes:
    """The record of a checkpoint.

    Other keys of `config` go into its metadata, except those that begin with `__`, the secrets
    among them, and who asked.
    """
    versions = checkpoint["channel_versions"]
    # LangGraph counts, for each delta channel, how long ago it was stored whole.
    deltas = metadata.get("counters_since_delta_snapshot") or {}
    names = [
        (_DELTA if channel in deltas else _PLAIN) + channel_at(channel, version)
        for channel, version in versions.items()
    ]
    head = join(text(parent or ""), b"%d" % len(versions), *names)
    rest = {key: value for key, value in checkpoint.items() if key not in _ELSEWHERE}
    whole = get_checkpoint_metadata(config, metadata)
    given = config.get("configurable") or {}
    about = {
        key: value
        for key, value in whole.items()
        if not (key.startswith(_CALLER) or (key in given and is_confidential(key, value)))
    }
    value = (rest, about)
    return head + packer.pack(value, "The checkpoint or its metadata")


def unpack_checkpoint(unpacker: Unpacker, record: bytes) -> Record:
    """The inverse of `pack_checkpoint`."""
    parent, count, rest = record.split(b"\0", 2)
    *parts, value = rest.split(b"\0", 2 * int(count))
    versions = {
        untext(channel[1:]): version_of(version)
        for channel, version in zip(parts[::2], parts[1::2], strict=True)
    }
    checkpoint, metadata = unpacker.unpack(value)
    return Record(untext(parent) or None, versions, checkpoint, metadata)


def pack_write(packer: Packer, task_path: str, channel: str, value: Any) -> bytes:
    """The stored form of a write."""
    return join(text(task_path), text(channel)) + packer.pack(value, f"A write to {channel!r}")


def unpack_writes(unpacker: Unpacker, reply: list[bytes]) -> list[StoredWrite]:
    """The writes in a script's (name, write)* list, in the order a super-step applies them."""
    writes = []
    for name, write in zip(reply[::2], reply[1::2], strict=True):
        task_path, channel, value = write.split(b"\0", 2)
        where = (untext(task_path), *write_at(name))
        writes.append(StoredWrite(*where, untext(channel), unpacker.unpack(value)))
    return sorted(writes, key=lambda write: writes_sort_key(*write[:3]))
