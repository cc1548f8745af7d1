"""Every method of a LangGraph checkpointer, once, in both its forms.

`put` and `aput` are the same operation made by another driver, so they are written side by side
here and a subclass says only how an operation is run.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from os import urandom
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from everturn.checkpoints.redis import housekeeping, reading, writing
from everturn.checkpoints.redis.address import Address
from everturn.checkpoints.redis.calls import Operation, T, Threads
from everturn.checkpoints.redis.keyspace import Keyspace
from everturn.checkpoints.redis.known import KnownChunks
from everturn.checkpoints.redis.listing import Listing, Steps
from everturn.checkpoints.redis.storage import ThreadStorage, storage

# As wide as in LangGraph's own savers: versions compare as text, and its development server counts
# on with 32 digits on a thread that was started here.
_VERSION_WIDTH = 32
# Of seconds and of checkpoints: a lifetime the server could not add to its clock would fail a
# script half-way.
_MAX_NUMBER = 2**31


class ThreadSaver(BaseCheckpointSaver[str]):
    """What `AsyncRedisSaver` and `RedisSaver` have in common: all but how calls are made.

    Args of both:
        ttl: seconds a thread lives after its last use, reads included; None for ever. A caller's
            `config["configurable"]["__ttl"]` goes before it, stays with the thread, and 0 in it
            means for ever.
        prefix: what all keys begin with; savers with one prefix share their threads.
        serde: how values become bytes. The default is JsonPlusSerializer in its strict form, which
            imports no type on a blob's word but LangChain's, LangGraph's and plain ones; others
            are named with `with_allowlist`. An EncryptedSerializer hides values and metadata; ids
            of threads, checkpoints and tasks, namespaces, and names of channels stay readable.
        keep: how many of the newest checkpoints of a namespace stay; None for all. Each run of a
            subgraph has a namespace of its own, so those stay until their runs or their thread are
            deleted.

    Every method raises StoreUnavailable while the server does not answer, StoreMisconfigured if it
    cannot serve, CheckpointsError for a thread that is damaged or was written with another key,
    and ValueError for a config that names no thread. What writes also raises StaleWriter if
    `config["configurable"]["__fence"]` is older than the thread's token or the thread was deleted
    under a run with delta channels, and Unserializable; then nothing of the call was stored.
    """

    def __init__(
        self,
        client: Any,
        *,
        ttl: int | None,
        prefix: str,
        serde: SerializerProtocol | None,
        keep: int | None,
    ) -> None:
        super().__init__(serde=serde or JsonPlusSerializer(allowed_msgpack_modules=None))
        if getattr(client.get_encoder(), "decode_responses", False):
            raise ValueError("The saver needs a client with decode_responses=False.")
        for name, value in (("ttl", ttl), ("keep", keep)):
            if value is not None and (type(value) is not int or not 1 <= value < _MAX_NUMBER):
                raise ValueError(
                    f"{name} must be a whole number from 1 to {_MAX_NUMBER - 1}, not {value!r}."
                )
        self._keyspace = Keyspace(prefix)
        self._known = KnownChunks()
        self._ttl = ttl
        self._keep = keep

    @abstractmethod
    def _run(self, operation: Operation[T]) -> T:
        """Runs an operation and returns its value."""

    @abstractmethod
    async def _arun(self, operation: Operation[T]) -> T:
        """Runs an operation and returns its value."""

    @abstractmethod
    def _stream(self, steps: Steps) -> Iterator[CheckpointTuple]:
        """Runs a listing and yields what it finds."""

    @abstractmethod
    def _astream(self, steps: Steps) -> AsyncIterator[CheckpointTuple]:
        """Runs a listing and yields what it finds."""

    @property
    @abstractmethod
    def _one_slot(self) -> bool:
        """Whether one script may touch any two threads: not so on a cluster."""

    @property
    def _threads(self) -> Threads:
        # Made for each call: `with_allowlist` gives a shallow copy of the saver another `serde`.
        return Threads(self._keyspace, self.serde, self._known, self._ttl, self._keep)

    def _listing(
        self,
        config: RunnableConfig | None,
        metadata: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
        *,
        bare: bool = False,
    ) -> Steps:
        before_id = get_checkpoint_id(before) if before else None
        left = None if limit is None else max(0, limit)
        listing = Listing(self._threads, metadata or {}, before_id, left, bare)
        return listing.everywhere() if config is None else listing.of(Address.of(config))

    def get_next_version(self, current: str | None, channel: None) -> str:
        """A version greater than `current`, and one that no other process makes.

        Two forks of a checkpoint count a channel to the same number: without the random part the
        later one would overwrite the value of the earlier. Not from `random`: user code that seeds
        it must not make forks alike.
        """
        count, _, _ = str(current or 0).partition(".")
        # As wide as before: versions compare as text, so "10" must not follow "9".
        width = len(count) if isinstance(current, str) else _VERSION_WIDTH
        return f"{int(count) + 1:0{width}d}.{urandom(6).hex()}"

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores a checkpoint; returns the config that names it."""
        return self._run(writing.put(self._threads, config, checkpoint, metadata, new_versions))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores a checkpoint; returns the config that names it."""
        return await self._arun(
            writing.put(self._threads, config, checkpoint, metadata, new_versions)
        )

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Stores the writes of a task that its checkpoint's next super-step will apply."""
        self._run(writing.put_writes(self._threads, config, writes, task_id, task_path))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Stores the writes of a task that its checkpoint's next super-step will apply."""
        await self._arun(writing.put_writes(self._threads, config, writes, task_id, task_path))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the latest; None if there is none."""
        return self._run(reading.get_tuple(self._threads, config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the latest; None if there is none."""
        return await self._arun(reading.get_tuple(self._threads, config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """The checkpoints of a thread, newest first; of every thread if `config` is None."""
        return self._stream(self._listing(config, filter, before, limit))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints of a thread, newest first; of every thread if `config` is None."""
        async for found in self._astream(self._listing(config, filter, before, limit)):
            yield found

    async def alist_bare(
        self,
        config: RunnableConfig,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- as `alist` has it
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """The same as `alist`, without the values of channels and without pending writes.

        However long the conversation is, each takes some hundred bytes.
        """
        steps = self._listing(config, filter, before, limit, bare=True)
        async for found in self._astream(steps):
            yield found

    def delete_thread(self, thread_id: str) -> None:
        """Deletes a thread: both its keys."""
        self._run(housekeeping.delete_thread(self._threads, thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        """Deletes a thread: both its keys."""
        await self._arun(housekeeping.delete_thread(self._threads, thread_id))

    def delete_for_runs(self, run_ids: Sequence[str], *, thread_id: str | None = None) -> None:
        """Deletes the checkpoints of runs; scans all threads unless `thread_id` names theirs."""
        self._run(housekeeping.delete_for_runs(self._threads, run_ids, thread_id))

    async def adelete_for_runs(
        self, run_ids: Sequence[str], *, thread_id: str | None = None
    ) -> None:
        """Deletes the checkpoints of runs; scans all threads unless `thread_id` names theirs."""
        await self._arun(housekeeping.delete_for_runs(self._threads, run_ids, thread_id))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all of a thread, or nothing if it has no checkpoints.

        Raises ValueError if the target has checkpoints, unless they are those of this very copy: it
        may be repeated.
        """
        self._run(
            housekeeping.copy_thread(
                self._threads, source_thread_id, target_thread_id, one_slot=self._one_slot
            )
        )

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all of a thread, or nothing if it has no checkpoints.

        Raises ValueError if the target has checkpoints, unless they are those of this very copy: it
        may be repeated.
        """
        await self._arun(
            housekeeping.copy_thread(
                self._threads, source_thread_id, target_thread_id, one_slot=self._one_slot
            )
        )

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Deletes all but the newest checkpoint of each namespace, or with "delete" everything."""
        self._run(housekeeping.prune(self._threads, thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Deletes all but the newest checkpoint of each namespace, or with "delete" everything."""
        await self._arun(housekeeping.prune(self._threads, thread_ids, strategy))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """The writes since the nearest stored value of each channel, and that value; one trip."""
        return self._run(reading.get_delta_channel_history(self._threads, config, channels))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """The writes since the nearest stored value of each channel, and that value; one trip."""
        return await self._arun(reading.get_delta_channel_history(self._threads, config, channels))

    def storage(self, thread_id: str) -> ThreadStorage:
        """What a thread takes in Redis; reading it renews no TTL."""
        return self._run(storage(self._threads, thread_id))

    async def astorage(self, thread_id: str) -> ThreadStorage:
        """What a thread takes in Redis; reading it renews no TTL."""
        return await self._arun(storage(self._threads, thread_id))
