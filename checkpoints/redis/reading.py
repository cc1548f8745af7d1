"""What reads: one checkpoint, a page of them, the history of delta channels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
)

from everturn.checkpoints.redis.address import Address
from everturn.checkpoints.redis.calls import Argument, Operation, Threads
from everturn.checkpoints.redis.codec import Unpacker
from everturn.checkpoints.redis.keyspace import (
    Place,
    checkpoint_at,
    checkpoint_name,
    late_at,
    text,
    untext,
)
from everturn.checkpoints.redis.record import Record, unpack_checkpoint, unpack_writes

# A page ends with the checkpoint that takes it past this many bytes.
_PAGE_BYTES = 4_000_000


class Page(NamedTuple):
    """Some of the checkpoints asked for. If there may be more, `more` names the last one read.

    Each is made when it is taken: to make one of a long conversation takes milliseconds, in which
    nothing else happens in an event loop.
    """

    found: Iterator[CheckpointTuple]
    more: bytes | None


def get_tuple(threads: Threads, config: RunnableConfig) -> Operation[CheckpointTuple | None]:
    """Reads the checkpoint that `config` names, or the newest."""
    address = Address.of(config)
    ns = address.ns or ""
    if address.checkpoint_id is None:
        what = newest(ns, limit=1)
    else:
        what = ("named", checkpoint_name(ns, address.checkpoint_id))
    page = yield from read(threads, address, *what, learn=True)
    return next(page.found, None)


def read(
    threads: Threads,
    address: Address,
    *what: Argument,
    metadata: Mapping[str, Any] | None = None,
    use: bool = True,
    learn: bool = False,
) -> Operation[Page]:
    """Reads checkpoints (`what` as in read.lua) whose metadata has the given values."""
    reply = yield threads.call("read", address, _PAGE_BYTES, *what, use=use)
    sealed_key, complete, chunks, entries = reply
    unpacker = threads.unpacker(address, sealed_key, chunks)

    def matching() -> Iterator[CheckpointTuple]:
        for name, stored, blobs, writes in entries:
            record = unpack_checkpoint(unpacker, stored)
            if _matches(record, metadata or {}):
                yield _checkpoint_tuple(address, unpacker, name, record, blobs, writes)

    found = matching()
    if learn:  # a run goes on from what it reads here, and stores most of it again
        found = iter(list(found))
        threads.known.learn(unpacker.learned)
    return Page(found, None if complete or not entries else entries[-1][0])


def newest(
    ns: str, *, limit: int, before: bytes | None = None, bare: bool = False
) -> tuple[Argument, ...]:
    """What `read` takes for the newest checkpoints of a namespace, or those older than a name.

    `bare` ones come without the values of their channels, and without writes.
    """
    return "newest", text(ns), before or b"", limit, "bare" if bare else ""


def places(threads: Threads, thread_id: str) -> Operation[dict[bytes, Place]]:
    """The names of all checkpoints of a thread, each with its place in the order."""
    names, late = yield threads.call("names", Address(thread_id))
    found = {name: Place(checkpoint_at(name)[1]) for name in names}
    return found | {name: place for name, place in map(late_at, late) if name in found}


def get_delta_channel_history(
    threads: Threads, config: RunnableConfig, channels: Sequence[str]
) -> Operation[Mapping[str, DeltaChannelHistory]]:
    """What rebuilds delta channels: the walk over all ancestors is one script, so one trip."""
    address = Address.of(config)
    if not channels:
        return {}
    place = (text(address.ns or ""), text(address.checkpoint_id or ""))
    names = (text(channel) for channel in dict.fromkeys(channels))
    reply = yield threads.call("history", address, *place, *names)
    sealed_key, chunks, seeds, groups = reply
    unpacker = threads.unpacker(address, sealed_key, chunks)
    writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
    for group in reversed(groups):  # the script walks from the newest to the oldest
        for write in unpack_writes(unpacker, group):
            writes[write.channel].append((write.task_id, write.channel, write.value))
    histories = {channel: DeltaChannelHistory(writes=writes[channel]) for channel in channels}
    for channel, blob in zip(seeds[::2], seeds[1::2], strict=True):
        histories[untext(channel)]["seed"] = unpacker.unpack(blob)
    return histories


def _checkpoint_tuple(
    address: Address,
    unpacker: Unpacker,
    name: bytes,
    record: Record,
    blobs: list[bytes | None],
    writes: list[bytes],
) -> CheckpointTuple:
    ns, checkpoint_id = checkpoint_at(name)
    checkpoint = {
        **record.checkpoint,
        "id": checkpoint_id,
        "channel_versions": record.versions,
        "channel_values": {
            channel: unpacker.unpack(blob)
            # Of a bare one there are none.
            for channel, blob in zip(record.versions, blobs, strict=bool(blobs))
            if blob is not None
        },
    }
    return CheckpointTuple(
        config=address.config(checkpoint_id, ns),
        checkpoint=cast("Checkpoint", checkpoint),
        metadata=record.metadata,
        parent_config=address.config(record.parent, ns) if record.parent else None,
        pending_writes=[
            (write.task_id, write.channel, write.value) for write in unpack_writes(unpacker, writes)
        ],
    )


def _matches(record: Record, metadata: Mapping[str, Any]) -> bool:
    stored = cast("Mapping[str, Any]", record.metadata)
    return all(stored.get(key) == value for key, value in metadata.items())
