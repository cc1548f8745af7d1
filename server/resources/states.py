"""The states of threads: read, listed, changed and forked through the graph whose they are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import EmptyInputError, InvalidUpdateError
from langgraph.types import StateSnapshot, StateUpdate
from langgraph_sdk.runtime import AccessContext

from everturn.checkpoints.errors import CheckpointsError, ThreadBusy
from everturn.checkpoints.sql.threads import Status, Thread, ThreadTable
from everturn.server.errors import (
    CheckpointNotFound,
    GraphNotFound,
    InvalidUpdate,
    ThreadHasNoGraph,
)
from everturn.server.projects.graphs import Graph
from everturn.server.runs.runs import Runs
from everturn.server.turns.engine import Engine
from everturn.server.turns.places import LATEST, Place, interrupts_of

UPDATE_WAIT_SECONDS = 1.0
"""An update does not queue behind a run, it is refused; two updates do wait for each other."""

# What LangGraph, reducers and routers say of an update that does not fit.
_NOT_FITTING = (
    InvalidUpdateError,
    EmptyInputError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
)


class Step(NamedTuple):
    """One update of a super-step, as if a node had returned it."""

    as_node: str
    values: Any
    """An object, a list, a `Command`, or `None`."""


class States:
    """Reads and changes the states of threads that have a row."""

    def __init__(
        self,
        table: ThreadTable,
        engine: Engine,
        checkpointer: BaseCheckpointSaver[Any],
        runs: Runs,
        *,
        jsonable: Callable[[Any], Any],
        edited: Callable[[str], None],
    ) -> None:
        """Wire it up.

        Args:
            table: the rows, which say what a thread waits for.
            engine: knows the graphs and keeps turns of one thread apart.
            checkpointer: the memory of threads.
            runs: which of them would be disturbed by a change.
            jsonable: makes plain JSON of values.
            edited: called with each thread whose state a client has changed.
        """
        self._table = table
        self._engine = engine
        self._checkpointer = checkpointer
        self._runs = runs
        self.jsonable = jsonable
        self._edited = edited

    async def read(
        self, thread: Thread, place: Place = LATEST, *, subgraphs: bool = False
    ) -> StateSnapshot | None:
        """Return a state of a thread; `None` if it has none, or no such subgraph.

        Raises:
            GraphNotFound: the thread's graph is no longer served.
        """
        if not _graph_of(thread):
            return None
        with _no_such_subgraph(place):
            config = self._config(thread, place)
            async with self._open(thread, config) as graph:
                return await graph.aget_state(config, subgraphs=subgraphs)
        return None

    async def values(self, thread: Thread) -> Any:
        """Return the latest values; `None` where there are none, or the graph is not known."""
        try:
            config = self._config(thread)
            async with self._open(thread, config) as graph:
                snapshot = await graph.aget_state(config)
        except (ThreadHasNoGraph, GraphNotFound):
            return None
        return None if snapshot.metadata is None else snapshot.values

    async def history(
        self,
        thread: Thread,
        place: Place = LATEST,
        *,
        limit: int,
        before: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[StateSnapshot]:
        """Return the states of a thread, newest first: those before a checkpoint, if one is named.

        Raises:
            GraphNotFound: the thread's graph is no longer served.
        """
        if not (_graph_of(thread) and limit):
            return []
        config = self._config(thread, place)
        with _no_such_subgraph(place):
            async with self._open(thread, config) as graph:
                states = graph.aget_state_history(
                    config,
                    filter=dict(metadata) if metadata else None,
                    before={"configurable": {"checkpoint_id": before}} if before else None,
                    limit=limit,
                )
                return [state async for state in states]
        return []

    async def update(
        self,
        thread: Thread,
        values: Mapping[str, Any] | Sequence[Any] | None,
        *,
        as_node: str | None = None,
        place: Place = LATEST,
    ) -> Mapping[str, Any]:
        """Change the state of a thread, or fork it at a checkpoint; returns the new place.

        `as_node="__copy__"` makes a copy of the checkpoint, to run again from there.

        Raises:
            ThreadBusy: a run is on, or is to start later.
            ThreadHasNoGraph, GraphNotFound: the graph of the state is not known.
            CheckpointNotFound: there is nothing to fork.
            InvalidUpdate: the update does not fit.
        """
        if thread.status == "busy" or await self._runs.any_on(thread.thread_id):
            raise ThreadBusy(
                f"The thread {thread.thread_id} has a run that has not ended: wait for it, or "
                "cancel it."
            )
        self.graph_of(thread)
        async with self._engine.hold(thread.thread_id, UPDATE_WAIT_SECONDS) as fence:
            config = self._config(thread, place, fence)
            if place.checkpoint_id and await self._checkpointer.aget_tuple(config) is None:
                raise CheckpointNotFound(
                    f"The checkpoint {place.checkpoint_id} was not found on the thread "
                    f"{thread.thread_id}: its history lists those there are."
                )
            async with self._open(thread, config, "threads.update") as graph:
                with _refusing_misfits():
                    changed = await graph.aupdate_state(config, values, as_node)
                await self._store_status(thread, graph)
        return changed.get("configurable", {})

    async def build(self, thread: Thread, supersteps: Sequence[Sequence[Step]]) -> None:
        """Give a new thread a state, by updates one after the other.

        Raises:
            ThreadHasNoGraph, GraphNotFound, InvalidUpdate: see `update`.
        """
        self.graph_of(thread)
        updates = [[StateUpdate(step.values, step.as_node) for step in each] for each in supersteps]
        async with self._engine.hold(thread.thread_id, UPDATE_WAIT_SECONDS) as fence:
            config = self._config(thread, fence=fence)
            async with self._open(thread, config, "threads.update") as graph:
                with _refusing_misfits():
                    await graph.abulk_update_state(config, updates)
                await self._store_status(thread, graph)

    def graph_of(self, thread: Thread) -> str:
        """Return the name of the graph whose state a thread has.

        Raises:
            ThreadHasNoGraph, GraphNotFound: it is not known, or no longer served.
        """
        name = _graph_of(thread)
        if name is None:
            raise ThreadHasNoGraph(
                f"Nobody knows the graph of the thread {thread.thread_id}: run one on it first, "
                "or set its metadata.graph_id."
            )
        self._engine.graphs.fixed(name)  # raises where it is not served
        return name

    def _open(
        self, thread: Thread, config: RunnableConfig, access: AccessContext = "threads.read"
    ) -> AbstractAsyncContextManager[Graph]:
        return self._engine.graphs.open(self.graph_of(thread), config, access=access)

    async def _store_status(self, thread: Thread, graph: Graph) -> None:
        """Write down what a changed state waits for."""
        snapshot = await graph.aget_state(self._config(thread))
        status: Status = "interrupted" if snapshot.next else "idle"
        await self._table.set_status(
            thread.thread_id, status, interrupts=self.jsonable(interrupts_of(snapshot))
        )
        self._edited(thread.thread_id)

    def _config(
        self, thread: Thread, place: Place = LATEST, fence: int | None = None
    ) -> RunnableConfig:
        configurable: dict[str, Any] = {
            "thread_id": thread.thread_id,
            "checkpoint_ns": place.checkpoint_ns,
            "__everturn": self._engine.services,
        }
        if place.checkpoint_id:
            configurable["checkpoint_id"] = place.checkpoint_id
        if place.checkpoint_map:
            configurable["checkpoint_map"] = dict(place.checkpoint_map)
        if fence is not None:
            configurable["__fence"] = fence
        return {"configurable": configurable, "metadata": {"graph_id": _graph_of(thread)}}


def _graph_of(thread: Thread) -> str | None:
    name = thread.metadata.get("graph_id")
    return name if isinstance(name, str) else None


@contextmanager
def _no_such_subgraph(place: Place) -> Iterator[None]:
    """Leave the block where LangGraph says, by a ValueError, that a subgraph is not there."""
    try:
        yield
    except ValueError:
        if not place.checkpoint_ns:
            raise


@contextmanager
def _refusing_misfits() -> Iterator[None]:
    """Blame an update for what the graph says of it; trouble of the stores is not its fault."""
    try:
        yield
    except CheckpointsError as error:
        if isinstance(error, TypeError):  # a value that no checkpoint can hold
            raise InvalidUpdate(str(error)) from error
        raise
    except _NOT_FITTING as error:
        raise InvalidUpdate(f"The update does not fit the graph: {error}") from error
