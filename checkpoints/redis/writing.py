"""What stores: checkpoints and the writes of tasks."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
)
from langgraph.constants import START

from everturn.checkpoints.errors import StaleWriter
from everturn.checkpoints.redis.address import Address
from everturn.checkpoints.redis.calls import Argument, Operation, Threads
from everturn.checkpoints.redis.codec import Packer
from everturn.checkpoints.redis.keyspace import blob_name, checkpoint_name, write_name
from everturn.checkpoints.redis.record import pack_checkpoint, pack_write
from everturn.checkpoints.redis.scripts import Name

_STORED, _LOST = 1, -1


def put(
    threads: Threads,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
) -> Operation[RunnableConfig]:
    """Stores a checkpoint with the channels that changed; returns its config.

    A channel that did not change must be there already. Should the thread have been lost since
    (deleted, evicted, expired), all its channels are stored again: what a run that is under way
    holds in memory is not lost with it. A delta channel is not in memory, but in the writes of the
    checkpoints before; with those lost, nothing is stored and the run has to end.
    """
    address = Address.of(config)
    ns, values = address.ns or "", checkpoint["channel_values"]
    versions = checkpoint["channel_versions"]
    unchanged = {c: v for c, v in versions.items() if c in values and c not in new_versions}

    def arguments(packer: Packer) -> list[Argument]:
        stored: list[Argument] = []
        emptied: list[bytes] = []
        for channel, version in (new_versions if packer.trust else versions | new_versions).items():
            name = blob_name(ns, channel, version)
            if channel in values:
                stored += (name, packer.pack(values[channel], _called(channel)))
            elif channel in new_versions:
                emptied.append(name)
        record = pack_checkpoint(packer, config, address.checkpoint_id, checkpoint, metadata)
        present = [blob_name(ns, c, v) for c, v in unchanged.items()] if packer.trust else []
        return [
            threads.keep or "",
            checkpoint_name(ns, checkpoint["id"]),
            record,
            *_counted(present),
            *_counted(emptied),
            *stored,
            *packer.fields(),
        ]

    yield from _store(threads, "put", address, arguments)
    return address.config(checkpoint["id"])


def put_writes(
    threads: Threads,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> Operation[None]:
    """Stores the writes of a task, before or after their checkpoint.

    Of two writes with one place a regular one stays (a task that runs again is answered by what it
    did first) and one to a special channel is replaced (the later error, interrupt or resume is
    the true one).
    """
    address = Address.of(config)
    if address.checkpoint_id is None:
        raise ValueError('put_writes needs config["configurable"]["checkpoint_id"].')
    ns, checkpoint_id = address.ns or "", address.checkpoint_id

    def arguments(packer: Packer) -> list[Argument]:
        stored: list[Argument] = []
        for position, (channel, value) in enumerate(writes):
            idx = WRITES_IDX_MAP.get(channel, position)
            name = write_name(ns, checkpoint_id, task_id, idx)
            stays = "last" if idx < 0 else "first"
            stored += (name, stays, pack_write(packer, task_path, channel, value))
        return [*_counted(packer.fields()), *stored]

    if writes:
        yield from _store(threads, "put_writes", address, arguments)


def _called(channel: str) -> str:
    return "The input" if channel == START else f"Channel {channel!r}"


def _counted(names: Sequence[bytes]) -> list[Argument]:
    return [len(names), *names]


def _store(
    threads: Threads, name: Name, address: Address, arguments: Callable[[Packer], list[Argument]]
) -> Operation[None]:
    """Sends what is not known to be stored; everything, should the script miss something."""
    for trust in (True, False):
        packer = threads.packer(address, trust=trust)
        reply = yield threads.call(name, address, packer.sealed_key, *arguments(packer))
        if isinstance(reply, bytes):
            raise taken_over(address, reply)
        if reply == _LOST:
            raise StaleWriter(
                f"Thread {address.thread_id!r} was deleted, evicted or has expired under this run, "
                "and with it the history of its delta channels: start a new run."
            )
        if reply == _STORED:
            threads.known.learn(packer.learned)
            return


def taken_over(address: Address, held: bytes) -> StaleWriter:
    """What a writer is told whose thread `held` a newer token."""
    return StaleWriter(
        f"Thread {address.thread_id!r} was taken over: fencing token {address.fence} is "
        f"older than {int(held)}."
    )
