"""The states of threads: read, listed, changed and forked through the graph whose they are."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.errors import EmptyInputError, InvalidUpdateError
from langgraph.types import StateSnapshot, StateUpdate
from langgraph_sdk.runtime import AccessContext

from everturn.checkpoints.errors import CheckpointsError, ThreadBusy
from everturn.checkpoints.redis.aio import AsyncRedisSaver
from everturn.checkpoints.sql.threads import Status, Thread, ThreadTable
from everturn.server.access.access import Access, rule_id
from everturn.server.errors import (
    CheckpointNotFound,
    GraphNotFound,
    InvalidUpdate,
    StateUnreadable,
    ThreadHasNoGraph,
    ThreadNotFound,
)
from everturn.server.projects.graphs import Graph
from everturn.server.resources.state_history import Outline, outlines_of, states_of
from everturn.server.runs.runs import Runs
from everturn.server.turns.engine import Engine
from everturn.server.turns.places import LATEST, Place, interrupts_of
from everturn.server.turns.reading import reading

UPDATE_WAIT_SECONDS = 1.0
"""An update does not queue behind a run, it is refused; two updates do wait for each other."""

# What LangGraph, reducers and routers say of an update that does not fit.
_NOT_FITTING = (
    InvalidUpdateError,
    EmptyInputError,
    ValueError,
    TypeError,
    LookupError,
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
        checkpointer: AsyncRedisSaver,
        runs: Runs,
        *,
        jsonable: Callable[[Any], Any],
        edited: Callable[[str], None],
        configurable: Callable[[str], Awaitable[Mapping[str, Any]]],
        access: Access,
    ) -> None:
        """Wire it up.

        Args:
            table: the rows, which say what a thread waits for.
            engine: knows the graphs and keeps turns of one thread apart.
            checkpointer: the memory of threads.
            runs: which of them would be disturbed by a change.
            jsonable: makes plain JSON of values.
            edited: called with each thread whose state a client has changed.
            configurable: what the newest run of a thread was given, for a factory.
            access: what the caller may do.
        """
        self._table = table
        self._engine = engine
        self._checkpointer = checkpointer
        self._runs = runs
        self.jsonable = jsonable
        self._edited = edited
        self._configurable = configurable
        self._access = access

    async def read(
        self, thread: Thread, place: Place = LATEST, *, subgraphs: bool = False
    ) -> StateSnapshot | None:
        """Return a state of a thread; `None` if it has none, or no such subgraph.

        Raises:
            GraphNotFound: the thread's graph is no longer served.
            StateUnreadable: nobody can say what it holds.
        """
        if not _graph_of(thread):
            return None
        with reading(thread.thread_id), _no_such_subgraph(place):
            config = self._config(thread, place)
            async with self._open(thread, config) as graph:
                return await graph.aget_state(config, subgraphs=subgraphs)
        return None

    async def values(self, thread: Thread) -> Any:
        """Return the latest values; `None` where there are none, or the graph is not known.

        Raises:
            StateUnreadable: nobody can say what it holds.
        """
        try:
            snapshot = await self.read(thread)
        except GraphNotFound:
            return None
        return None if snapshot is None or snapshot.metadata is None else snapshot.values

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
            StateUnreadable: see `states_of`.
        """
        if not (_graph_of(thread) and limit):
            return []
        config = self._config(thread, place)
        with reading(thread.thread_id), _no_such_subgraph(place):
            async with self._open(thread, config) as graph:
                return await states_of(
                    graph,
                    self._checkpointer,
                    config,
                    limit=limit,
                    before={"configurable": {"checkpoint_id": before}} if before else None,
                    metadata=metadata,
                )
        return []

    async def outlines(
        self,
        thread: Thread,
        place: Place = LATEST,
        *,
        limit: int,
        before: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Outline]:
        """Return what `history` does, without the states: however large they are, it is quick.

        Raises:
            StateUnreadable: a checkpoint cannot be read.
        """
        return await outlines_of(
            self._checkpointer,
            self._config(thread, place),
            limit=limit,
            before={"configurable": {"checkpoint_id": before}} if before else None,
            metadata=metadata,
        )

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
            ThreadNotFound: the caller may not change it; or what `Access.allowed` raises.
        """
        asked = {"thread_id": rule_id(thread.thread_id)}
        if not (await self._access.allowed("threads", "update", asked)).fits(thread.metadata):
            raise thread_not_found(thread.thread_id)
        if thread.status == "busy" or await self._runs.any_on(thread.thread_id):
            raise ThreadBusy(
                f"The thread {thread.thread_id} has a run that has not ended: wait for it, or "
                "cancel it."
            )
        values = await self._engine.admitted(self.graph_of(thread), values)
        async with self._engine.hold(thread.thread_id, UPDATE_WAIT_SECONDS) as fence:
            config = self._config(thread, place, fence)
            with reading(thread.thread_id):
                there = not place.checkpoint_id or await self._checkpointer.aget_tuple(config)
            if not there:
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
        name, admitted = self.graph_of(thread), self._engine.admitted
        updates = [
            [StateUpdate(await admitted(name, step.values), step.as_node) for step in each]
            for each in supersteps
        ]
        async with self._engine.hold(thread.thread_id, UPDATE_WAIT_SECONDS) as fence:
            config = self._config(thread, fence=fence)
            async with self._open(thread, config, "threads.update") as graph:
                with _refusing_misfits():
                    await graph.abulk_update_state(config, updates)
                await self._store_status(thread, graph)

    def takes_messages(self, thread: Thread) -> bool:
        """Say whether a thread's state has messages; raises what `graph_of` does."""
        return self._engine.takes_messages(self.graph_of(thread))

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
        name = self.graph_of(thread)
        if self._engine.graphs.fixed(name) is None:
            return self._made(name, thread, config, access)
        return self._engine.graphs.open(name, config, access=access)

    @asynccontextmanager
    async def _made(
        self, name: str, thread: Thread, config: RunnableConfig, access: AccessContext
    ) -> AsyncIterator[Graph]:
        """Have a factory make the graph as it was for the thread's newest run."""
        chosen = await self._configurable(thread.thread_id)
        given: RunnableConfig = {
            **config,
            "configurable": {**chosen, **config.get("configurable", {})},
        }
        async with self._engine.graphs.open(name, given, access=access) as graph:
            yield graph

    async def _store_status(self, thread: Thread, graph: Graph) -> None:
        """Write down what a changed state waits for."""
        with reading(thread.thread_id):
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


def thread_not_found(thread_id: str) -> ThreadNotFound:
    """Say that there is no such thread, whether it never was or is somebody else's."""
    return ThreadNotFound(f"The thread {thread_id} was not found: make one with POST /threads.")


def _graph_of(thread: Thread) -> str | None:
    name = thread.metadata.get("graph_id")
    return name if isinstance(name, str) else None


@contextmanager
def _no_such_subgraph(place: Place) -> Iterator[None]:
    """Leave the block where LangGraph says, by a ValueError, that a subgraph is not there."""
    try:
        yield
    except (ValueError, StateUnreadable) as error:
        said = error.__cause__ if isinstance(error, StateUnreadable) else error
        if not (place.checkpoint_ns and isinstance(said, ValueError)):
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
