"""How a turn is run: the one way, for every route.

    thread lock -> graph.astream, each part to whoever listens -> history row committed -> outcome

Who gets the outcome may acknowledge the turn: its checkpoint and its history row are stored.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
    aclosing,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, cast

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.constants import END
from langgraph.errors import EmptyInputError, InvalidUpdateError, is_invalid_resume
from langgraph.types import Command, Interrupt, StateSnapshot, StreamMode
from pydantic import ValidationError

from everturn.checkpoints.shared.locks import ThreadLocks
from everturn.checkpoints.sql.history import FinishedTurn, History
from everturn.server.errors import InvalidInput, NothingWaits, ShuttingDown, TurnTimeout
from everturn.server.projects.graphs import Graph, Graphs
from everturn.server.turns.outcome import Outcome, readable

_MAX_WAITING_PARTS = 256
_COME_BACK = "The service is being stopped or restarted; try again in a moment."


async def _nothing(*_: object) -> None:
    """Leave things as they are."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked of a graph: one input on one thread."""

    graph: str
    input: dict[str, Any] | Command[Any] | None
    thread_id: str | None = None
    """The conversation; `None` runs the graph without memory."""
    context: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    stream_modes: Sequence[StreamMode] = ()
    ttl: int | None = None
    """Seconds the thread lives after its last use; `None` keeps it."""
    events: bool = False
    """Also LangChain's own events, under the mode `events`."""
    subgraphs: bool = False
    """Also what subgraphs stream."""
    interrupt_before: Literal["*"] | Sequence[str] | None = None
    interrupt_after: Literal["*"] | Sequence[str] | None = None
    durability: Literal["sync", "async", "exit"] | None = None
    wait: float | None = None
    """Seconds to wait for the thread; `None` for as long as the service is set up."""
    history: bool = True
    """Write the turn into the chat history."""
    answers: str | None = None
    """The id of the interrupt that the input answers, which must still wait."""
    resumes: str | None = None
    """The id of a run that may have begun before; if the thread stands where it left it, it goes on
    from there, and its input is in the thread."""
    on_begin: Callable[[], Awaitable[None]] = _nothing
    """Called when the thread is held, before anything is run; what it raises lets go of it."""
    on_end: Callable[[Outcome | None], Awaitable[None]] = _nothing
    """Called with what came of it, before the thread is anybody else's; None if it was ended from
    outside. Not called where a node raised."""


@dataclass(frozen=True, slots=True)
class Part:
    """One event of a running graph: a stream mode and what LangGraph sent under it."""

    mode: StreamMode | Literal["events"]
    data: Any
    namespace: tuple[str, ...] = ()
    """Of the subgraph that sent it; empty for the graph itself."""


class RunDeleting(Protocol):
    """A checkpointer that finds the runs of one thread without reading all others."""

    async def adelete_for_runs(self, run_ids: Sequence[str], *, thread_id: str) -> None: ...


class Waiting(NamedTuple):
    """A turn that was interrupted and waits."""

    graph: str
    metadata: Mapping[str, Any]
    """Of its run config: what was told of the turn when it began."""
    interrupts: Sequence[Interrupt]


class Checked(NamedTuple):
    """A turn that can be run."""

    context: Any
    """In the graph's own type; as it came, for a graph that is still to be made."""
    candidates: Sequence[str]
    """The models that would be asked, the first choice first; empty where nobody can say."""


Candidates = Callable[[Any, Any], Sequence[str]]
"""From a graph's context and input to the models that would be asked; raises where either is wrong,
or where there are none."""

Emit = Callable[[Part], Awaitable[None]]


async def _nobody(part: Part) -> None:
    """Listen to nothing: for callers who wait for the outcome."""


class Engine:
    """Runs turns: one at a time on a thread, any number side by side."""

    def __init__(
        self,
        graphs: Graphs,
        checkpointer: BaseCheckpointSaver[Any],
        locks: ThreadLocks,
        history: History,
        services: Mapping[str, object],
        candidates: Candidates,
        *,
        turn_timeout: float,
        thread_wait: float,
    ) -> None:
        """Wire the engine.

        Args:
            graphs: what can be run.
            checkpointer: the memory of threads.
            locks: one turn a thread at a time.
            history: where finished turns are written.
            services: what is lent to nodes and tools, as `configurable["__everturn"]`.
            candidates: which models a context and an input would ask.
            turn_timeout: seconds a turn may take once it has begun.
            thread_wait: seconds a turn waits for its thread.
        """
        self.graphs = graphs
        self._checkpointer = checkpointer
        self._locks = locks
        self._history = history
        self.services = services
        self._candidates = candidates
        self._turn_timeout = turn_timeout
        self._thread_wait = thread_wait
        self._running: set[asyncio.Task[None]] = set()
        self._deadlines: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False

    def check(self, turn: Turn) -> Checked:
        """Check all of a turn that can be checked before anything is run or written.

        Raises:
            GraphNotFound, InvalidInput, and what the choice of models raises.
        """
        graph = self.graphs.fixed(turn.graph)
        if graph is not None and isinstance(turn.input, Command):
            _check_goto(graph, turn.input)
        context = self.graphs.context(turn.graph, turn.context)
        return Checked(context, self._candidates(context, turn.input))

    async def run(self, turn: Turn, emit: Emit = _nobody) -> Outcome:
        """Run a turn to its end and return what it came to, stored.

        Raises:
            GraphNotFound, InvalidInput: nothing was run or written.
            ThreadBusy: the thread's earlier turn did not end while this one waited.
            NothingWaits: what the turn answers has been answered.
            TurnTimeout: the turn took too long.
            ShuttingDown: the service ends before the turn could.
            Exception: whatever a node raised.
        """
        checked = self.check(turn)
        if self._closing:
            raise ShuttingDown(_COME_BACK)
        deadline = asyncio.timeout(None)
        self._deadlines.add(deadline)
        self._idle.clear()
        try:
            async with deadline, self.alone(turn.thread_id, turn.wait) as fence:
                if not self._closing:
                    now = asyncio.get_running_loop().time()
                    deadline.reschedule(now + self._turn_timeout)
                await turn.on_begin()
                await self._check_waits(turn)
                if (
                    turn.resumes
                    and turn.thread_id
                    and await self.begun(turn.thread_id, turn.resumes)
                ):
                    turn = replace(turn, input=None)
                try:
                    outcome = await self._follow(turn, checked, fence, emit)
                except asyncio.CancelledError:
                    await turn.on_end(None)
                    raise
                if not (self._closing or deadline.expired()):
                    deadline.reschedule(None)  # it has its answer, which is only to be stored
                await turn.on_end(outcome)
                await self._remember(turn, outcome)
                return outcome
        except TimeoutError as error:
            if not deadline.expired():
                raise
            if self._closing:
                raise ShuttingDown(_COME_BACK) from error
            raise TurnTimeout(f"No answer within {self._turn_timeout:g} s.") from error
        finally:
            self._deadlines.discard(deadline)
            if not self._deadlines:
                self._idle.set()

    async def drain(self, grace: float) -> None:
        """Take no more turns; end those that run on after `grace` seconds with ShuttingDown."""
        self._closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._idle.wait()
        for deadline in self._deadlines:
            deadline.reschedule(asyncio.get_running_loop().time())

    async def _follow(self, turn: Turn, checked: Checked, fence: int | None, emit: Emit) -> Outcome:
        """Run the graph and pass on its parts; the last state is the outcome."""
        outcome = Outcome()
        config = self._config(turn, fence)
        async with (
            self.graphs.open(turn.graph, config, context=checked.context) as graph,
            aclosing(_stream(turn, graph, checked.context, config)) as parts,
        ):
            before = turn.interrupt_before or graph.interrupt_before_nodes
            after = turn.interrupt_after or graph.interrupt_after_nodes
            outcome.breakpoints = bool(before or after)
            async for part in parts:
                if part.mode == "values" and not part.namespace:
                    outcome.take(_output(graph, part.data))
                if part.mode in turn.stream_modes or part.mode == "events":
                    await emit(part)
        return outcome

    @asynccontextmanager
    async def stream(self, turn: Turn) -> AsyncIterator[AsyncIterator[Part | Outcome]]:
        """Run a turn and yield its parts as they come, the outcome last.

        Leaving the context before the outcome stops the turn, and the model with it.
        """
        parts: asyncio.Queue[Part | Outcome | Exception] = asyncio.Queue(_MAX_WAITING_PARTS)

        async def produce() -> None:
            try:
                end: Outcome | Exception = await self.run(turn, parts.put)
            except Exception as error:  # handed to the listener, who raises it
                end = error
            await parts.put(end)

        running = asyncio.create_task(produce(), name=f"turn {turn.graph} {turn.thread_id}")
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        try:
            yield _drain(parts)
        finally:
            running.cancel()
            # Not `await running`: a caller who is cancelled meanwhile would cancel it once more,
            # in the middle of closing its connections.
            await asyncio.wait({running})

    async def messages(self, thread_id: str) -> list[AnyMessage]:
        """Return everything said on a thread, oldest first; empty where nothing was."""
        saved = await self._checkpointer.aget_tuple(_thread(thread_id))
        values = saved.checkpoint["channel_values"] if saved else {}
        return list(values.get("messages", ()))

    async def waiting(self, thread_id: str) -> Waiting | None:
        """Return what a thread's turn waits for; `None` where none of a graph served here does."""
        saved = await self._checkpointer.aget_tuple(_thread(thread_id))
        metadata = dict(saved.metadata) if saved else {}
        name = metadata.get("graph_id")
        if not isinstance(name, str) or name not in self.graphs.names:
            return None
        state = await self.state(name, thread_id)
        return Waiting(name, metadata, state.interrupts) if state.interrupts else None

    async def has_history(self, thread_id: str) -> bool:
        """Say whether a turn of a thread is in the chat history."""
        return await self._history.exists(thread_id)

    async def forget(self, thread_id: str) -> None:
        """Delete the memory and history of a thread that is held."""
        await self._checkpointer.adelete_thread(thread_id)
        await self._history.delete(thread_id)

    async def begun(self, thread_id: str, run_id: str) -> bool:
        """Say whether the newest checkpoint of a thread is of this run."""
        saved = await self._checkpointer.aget_tuple(_thread(thread_id))
        return saved is not None and saved.metadata.get("run_id") == run_id

    async def drop(self, thread_id: str) -> None:
        """Delete the memory of a thread that nobody will come back to."""
        await self._checkpointer.adelete_thread(thread_id)

    async def undo(self, thread_id: str, run_id: str) -> None:
        """Delete what a run left on its thread."""
        saver = cast("RunDeleting", self._checkpointer)
        await saver.adelete_for_runs([run_id], thread_id=thread_id)

    async def state(self, graph: str, thread_id: str) -> StateSnapshot:
        """Return the latest state of a thread."""
        config = _thread(thread_id)
        async with self.graphs.open(graph, config, access="threads.read") as served:
            return await served.aget_state(config)

    def alone(
        self, thread_id: str | None, wait: float | None = None
    ) -> AbstractAsyncContextManager[int | None]:
        """Hold a thread, so that no turn runs on it; yields the fencing token.

        Waits as long as a turn would, or at most `wait` seconds; raises ThreadBusy then.
        """
        if thread_id is None:
            return nullcontext()
        return self._locks.hold(thread_id, wait=self._thread_wait if wait is None else wait)

    def _config(self, turn: Turn, fence: int | None) -> RunnableConfig:
        configurable = {**turn.config.get("configurable", {}), "__everturn": self.services}
        if turn.thread_id is not None:
            configurable["thread_id"] = turn.thread_id
        if turn.ttl is not None:
            configurable["__ttl"] = turn.ttl
        if fence is not None:
            configurable["__fence"] = fence
        # LangGraph's own name for it; a thread that waits is resumed by the graph that asked.
        metadata = {**turn.config.get("metadata", {}), "graph_id": turn.graph}
        config = {**turn.config, "configurable": configurable, "metadata": metadata}
        return cast("RunnableConfig", config)

    async def _check_waits(self, turn: Turn) -> None:
        if turn.answers is None or turn.thread_id is None:
            return
        waiting = await self.waiting(turn.thread_id)
        if waiting is None or turn.answers not in {each.id for each in waiting.interrupts}:
            raise NothingWaits("What this answers has been answered, or given up, meanwhile.")

    async def _remember(self, turn: Turn, outcome: Outcome) -> None:
        """Write the history row of a finished turn; the caller is answered after its commit."""
        question, answer = outcome.question, outcome.answer
        if turn.thread_id is None or not turn.history or outcome.interrupts:
            return
        if question is None or answer is None:
            return
        await self._history.add(
            FinishedTurn(
                session_id=turn.thread_id,
                user_message=readable(question),
                assistant_message=answer.text,
                tools_used=outcome.tools_used,
                model_used=outcome.route["model"] or "",
                tokens_used=outcome.usage["total_tokens"],
                cost=outcome.cost,
                metadata={"graph": turn.graph, "route": outcome.route},
            )
        )


async def _stream(
    turn: Turn, graph: Graph, context: Any, config: RunnableConfig
) -> AsyncGenerator[Part]:
    """Stream the graph; what fails before its first state is the fault of the input."""
    if turn.thread_id is None and graph.checkpointer is not None:
        graph = graph.copy({"checkpointer": None})
    options: dict[str, Any] = {
        "context": context,
        "stream_mode": list(dict.fromkeys(("values", *turn.stream_modes))),
        "subgraphs": turn.subgraphs,
        "interrupt_before": turn.interrupt_before,
        "interrupt_after": turn.interrupt_after,
        "durability": turn.durability,
    }
    parts = _events if turn.events else _parts
    begun = False
    try:
        async for part in parts(graph, turn.input, config, options):
            begun = True
            yield part
    except (
        EmptyInputError,
        InvalidUpdateError,
        ValueError,
        TypeError,
        NotImplementedError,
    ) as error:
        if is_invalid_resume(error):
            raise InvalidInput(f"What waits cannot be answered so: {_flaws(error)}") from error
        if begun or isinstance(turn.input, Command):
            raise
        raise InvalidInput(f"The input does not fit the graph {turn.graph!r}: {error}") from error


async def _parts(
    graph: Graph, asked: Any, config: RunnableConfig, options: Mapping[str, Any]
) -> AsyncGenerator[Part]:
    async for chunk in graph.astream(asked, config, **options):
        yield _part(chunk)


async def _events(
    graph: Graph, asked: Any, config: RunnableConfig, options: Mapping[str, Any]
) -> AsyncGenerator[Part]:
    """LangChain's events, without those of the graph itself that carry its parts."""
    root: str | None = None
    event: Any
    async for event in graph.astream_events(asked, config, version="v2", **options):
        root = root or event["run_id"]
        if event["event"] == "on_chain_stream" and event["run_id"] == root:
            yield _part(cast("Any", event["data"])["chunk"])
        else:
            yield Part("events", event)


def _part(chunk: Any) -> Part:
    """With subgraphs LangGraph sends (namespace, mode, data), else (mode, data)."""
    *namespace, mode, data = chunk
    return Part(mode, data, *namespace)


def _flaws(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    flaws = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, flaw['loc']))}: {flaw['msg']}" for flaw in flaws)


def _check_goto(graph: Graph, command: Command[Any]) -> None:
    goto = command.goto if isinstance(command.goto, list | tuple) else [command.goto]
    for node in goto:
        if isinstance(node, str) and node != END and node not in graph.nodes:
            there_are = ", ".join(name for name in graph.nodes if not name.startswith("__"))
            raise InvalidInput(f"command.goto: there is no node {node!r}; there are: {there_are}.")


def _output(graph: Graph, values: Any) -> Any:
    """Keep of a state what the graph's output schema shows, and its interrupts."""
    shown = graph.output_channels
    if isinstance(shown, str) or not isinstance(values, dict):
        return values
    return {key: value for key, value in values.items() if key in shown or key == "__interrupt__"}


def _thread(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


async def _drain(
    parts: asyncio.Queue[Part | Outcome | Exception],
) -> AsyncIterator[Part | Outcome]:
    while True:
        part = await parts.get()
        if isinstance(part, Exception):
            raise part
        yield part
        if isinstance(part, Outcome):
            return
