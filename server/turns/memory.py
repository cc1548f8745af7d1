"""What a thread remembers: read and changed through its checkpoints."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, BaseCheckpointSaver
from langgraph.constants import END
from langgraph.types import Interrupt, StateSnapshot

from everturn.server.errors import StateUnreadable
from everturn.server.projects.graphs import Graphs
from everturn.server.turns.engine import output_of
from everturn.server.turns.outcome import Outcome, messages_in
from everturn.server.turns.reading import reading

NULL_TASK_ID = "00000000-0000-0000-0000-000000000000"
"""What a command writes is of no task; LangGraph keeps this name to itself."""

_INPUT = "__input__"
"""The node as which LangGraph takes an update for an input."""


class RunDeleting(Protocol):
    """A checkpointer that finds the runs of one thread without reading all others."""

    async def adelete_for_runs(self, run_ids: Sequence[str], *, thread_id: str) -> None: ...


class Waiting(NamedTuple):
    """A turn that was interrupted and waits."""

    graph: str
    metadata: Mapping[str, Any]
    """Of its checkpoint: what the turn's config said when it began."""
    interrupts: Sequence[Interrupt]


class ThreadMemory:
    """The checkpoints of threads. Whoever changes them must hold the thread: `Engine.hold`."""

    def __init__(self, checkpointer: BaseCheckpointSaver[Any], graphs: Graphs) -> None:
        self._checkpointer = checkpointer
        self._graphs = graphs

    async def messages(self, thread_id: str) -> list[AnyMessage]:
        """Return everything said on a thread, oldest first; empty where nothing was."""
        with reading(thread_id):
            saved = await self._checkpointer.aget_tuple(_newest(thread_id))
        return messages_in(saved.checkpoint["channel_values"]) if saved else []

    async def waiting(self, thread_id: str) -> Waiting | None:
        """Return what a thread's turn waits for; None if it waits for nothing.

        Also None where the graph of the turn is not served any more.

        Raises:
            StateUnreadable: nobody can say; so does `state`.
        """
        with reading(thread_id):
            saved = await self._checkpointer.aget_tuple(_newest(thread_id))
        metadata = dict(saved.metadata) if saved else {}
        name = metadata.get("graph_id")
        if not isinstance(name, str) or name not in self._graphs.names:
            return None
        state = await self.state(name, thread_id)
        return Waiting(name, metadata, state.interrupts) if state.interrupts else None

    async def state(
        self, graph: str, thread_id: str, configurable: Mapping[str, Any] | None = None
    ) -> StateSnapshot:
        """Return the latest state of a thread; `configurable` is its run's, for a factory."""
        config = _newest(thread_id)
        given: RunnableConfig = {
            "configurable": {**(configurable or {}), **config.get("configurable", {})}
        }
        with reading(thread_id):
            async with self._graphs.open(graph, given, access="threads.read") as served:
                return await served.aget_state(config)

    async def outcome(
        self,
        graph: str,
        thread_id: str,
        run_id: str,
        configurable: Mapping[str, Any] | None = None,
    ) -> Outcome | None:
        """Return the state in which a run left its thread, whatever followed it there.

        None where its checkpoints are not kept any more.
        """
        with reading(thread_id):
            its_own = self._checkpointer.alist(
                _newest(thread_id), filter={"run_id": run_id}, limit=1
            )
            found = [saved async for saved in its_own]
            if not found:
                return None
            place = found[0].config
            there = place.get("configurable", {})
            given: RunnableConfig = {"configurable": {**(configurable or {}), **there}}
            async with self._graphs.open(graph, given, access="threads.read") as served:
                state = await served.aget_state(place)
                return Outcome(output_of(served, state.values), state.interrupts)

    async def apply_updates(
        self,
        graph: str,
        thread_id: str,
        fence: int | None,
        configurable: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a checkpoint of what commands have written since the newest one.

        Without a super-step after it an update is kept beside its checkpoint. A second one for the
        same channel would be a second value in one super-step, which most channels refuse.
        """
        with reading(thread_id):
            saved = await self._checkpointer.aget_tuple(_newest(thread_id))
        writes = (saved.pending_writes if saved else None) or ()
        waits = any(task == NULL_TASK_ID and to not in WRITES_IDX_MAP for task, to, _ in writes)
        if waits and not (await self.state(graph, thread_id, configurable)).next:
            await self._update(graph, thread_id, fence, configurable, as_node=END)

    async def add_messages(
        self, thread_id: str, fence: int | None, messages: Sequence[Any]
    ) -> None:
        """Write messages beside the newest checkpoint, as an update that is applied to it."""
        with reading(thread_id):
            saved = await self._checkpointer.aget_tuple(_newest(thread_id))
        if saved is not None:
            place = {**saved.config.get("configurable", {}), "__fence": fence}
            writes = [("messages", list(messages))]
            await self._checkpointer.aput_writes({"configurable": place}, writes, NULL_TASK_ID)

    async def say_next(
        self,
        graph: str,
        thread_id: str,
        fence: int | None,
        configurable: Mapping[str, Any],
        metadata: Mapping[str, Any],
        messages: Sequence[Any],
    ) -> None:
        """Give a finished thread its next input: to go on is then to answer it."""
        said = {"messages": list(messages)}
        about = configurable, said, metadata
        await self._update(graph, thread_id, fence, *about, as_node=_INPUT)

    async def mend(
        self,
        graph: str,
        thread_id: str,
        fence: int | None,
        configurable: Mapping[str, Any] | None = None,
    ) -> None:
        """Drop what a command has written, where the graph refuses it: no run could start again."""
        try:
            await self.state(graph, thread_id, configurable)
        except StateUnreadable:
            await self._update(graph, thread_id, fence, configurable, as_node="__copy__")

    async def _update(
        self,
        graph: str,
        thread_id: str,
        fence: int | None,
        configurable: Mapping[str, Any] | None,
        values: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        as_node: str,
    ) -> None:
        place = {"thread_id": thread_id, "checkpoint_ns": "", "__fence": fence}
        config: RunnableConfig = {
            "configurable": {**(configurable or {}), **place},
            "metadata": {**(metadata or {}), "graph_id": graph},
        }
        async with self._graphs.open(graph, config, access="threads.update") as served:
            await served.aupdate_state(config, values, as_node)

    async def is_newest(self, thread_id: str, run_id: str) -> bool:
        """Say whether the newest checkpoint of a thread was written by this run."""
        saved = await self._checkpointer.aget_tuple(_newest(thread_id))
        return saved is not None and saved.metadata.get("run_id") == run_id

    async def has_left(self, thread_id: str, run_id: str) -> bool:
        """Say whether a run has written checkpoints on a thread, and another run after it."""
        saved = await self._checkpointer.aget_tuple(_newest(thread_id))
        newest = saved.metadata.get("run_id") if saved else None
        if newest in {None, run_id}:
            return False
        own = self._checkpointer.alist(_newest(thread_id), filter={"run_id": run_id}, limit=1)
        return [each async for each in own] != []

    async def last_before(self, thread_id: str, run_id: str) -> str | None:
        """Return the id of the last message that was there before a run; None where none was."""
        async for saved in self._checkpointer.alist(_newest(thread_id)):
            if saved.metadata.get("run_id") != run_id:
                messages = messages_in(saved.checkpoint["channel_values"])
                return messages[-1].id if messages else None
        return None

    async def has(self, thread_id: str, checkpoint_id: str, checkpoint_ns: str = "") -> bool:
        """Say whether a thread has a checkpoint."""
        place = {"thread_id": thread_id, "checkpoint_ns": checkpoint_ns}
        config: RunnableConfig = {"configurable": {**place, "checkpoint_id": checkpoint_id}}
        return await self._checkpointer.aget_tuple(config) is not None

    async def undo(self, thread_id: str, run_id: str) -> None:
        """Delete what a run left on its thread."""
        saver = cast("RunDeleting", self._checkpointer)
        await saver.adelete_for_runs([run_id], thread_id=thread_id)

    async def forget(self, thread_id: str) -> None:
        """Delete all checkpoints of a thread."""
        await self._checkpointer.adelete_thread(thread_id)


def _newest(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
