"""How a turn is run: hold the thread, run the graph on it, leave.

    hold(thread) -> run_held(turn): graph.astream, part after part -> outcome

Only `server.runs.execution` runs turns. Others hold a thread to change or delete it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    aclosing,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.constants import END
from langgraph.errors import EmptyInputError, InvalidUpdateError, is_invalid_resume
from langgraph.types import Command, Send
from pydantic import ValidationError

from everturn.checkpoints.redis.address import FENCE_KEY, TTL_KEY, Unsent
from everturn.checkpoints.shared.locks import ThreadLocks
from everturn.server.errors import (
    InvalidAnswer,
    InvalidInput,
    RunError,
    ShuttingDown,
    TurnTimeout,
)
from everturn.server.projects.graphs import Graph, Graphs
from everturn.server.turns import safe_repr
from everturn.server.turns.outcome import Outcome
from everturn.server.turns.transformed import transformed
from everturn.server.turns.turn import Checked, Part, Turn

_COME_BACK = "The service is being stopped or restarted; try again in a moment."

Candidates = Callable[[Any, Any], Sequence[str]]
"""From a graph's context and input to the models that would be asked; raises where either is wrong,
or where there are none."""


Admit = Callable[[Graph, Any], Awaitable[Any]]
"""From a graph and what a client would write into its state to what may be stored of that; raises
where it is not taken."""


async def _as_it_is(_: Graph, given: Any) -> Any:
    return given


@dataclass(slots=True)
class Hold:
    """A thread that is held for a turn."""

    deadline: asyncio.Timeout
    """Ends the turn; it is set when the turn begins."""
    seconds: float
    """That the turn may take."""
    fence: int | None = None
    """The token that keeps a holder who was overtaken from writing; None needs none."""


class Engine:
    """Runs turns of the graphs it is given, one at a time on each thread."""

    def __init__(
        self,
        graphs: Graphs,
        locks: ThreadLocks,
        services: Mapping[str, object],
        candidates: Candidates,
        *,
        turn_timeout: float,
        thread_wait: float,
        store_wait: float = 3600.0,
        admit: Admit = _as_it_is,
    ) -> None:
        """Wire the engine.

        Args:
            graphs: what can be run.
            locks: one turn a thread at a time.
            services: what nodes and tools may use, as `configurable["__everturn"]`; no dict, of
                which a `RemoteGraph` would send on what it can.
            candidates: which models a context and an input would ask.
            turn_timeout: seconds a turn may take once it has started.
            thread_wait: seconds to wait for a thread where nothing else is said.
            store_wait: seconds a turn waits for a store that is away.
            admit: makes of an input what may be stored.
        """
        self.graphs = graphs
        self.services = MappingProxyType(services)
        self._locks = locks
        self._candidates = candidates
        self._turn_timeout = turn_timeout
        self.thread_wait = thread_wait
        self.store_wait = store_wait
        self._admit = admit
        self._deadlines: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        safe_repr.install()

    def takes_messages(self, graph: str) -> bool:
        """Say whether a graph's state has messages, as far as that is known before it is made."""
        served = self.graphs.fixed(graph)
        return served is None or "messages" in served.channels

    async def admitted(self, graph: str, given: Any) -> Any:
        """Return what a client would write into a graph's state, as it may be stored.

        Raises:
            GraphNotFound, and what the graph's own rules raise: nothing was written.
        """
        served = self.graphs.fixed(graph)
        return given if served is None or not given else await self._admit(served, given)

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

    def hold(
        self, thread_id: str | None, wait: float | None = None
    ) -> AbstractAsyncContextManager[int | None]:
        """Hold a thread, so that no turn runs on it; yields the fencing token.

        Waits as long as the service is set up to, or at most `wait` seconds: then ThreadBusy.
        """
        if thread_id is None:
            return nullcontext()
        return self._locks.hold(thread_id, wait=self.thread_wait if wait is None else wait)

    @asynccontextmanager
    async def hold_for_turn(
        self, thread_id: str | None, wait: float | None = None
    ) -> AsyncIterator[Hold]:
        """Hold a thread for a turn; the end of the service, or of the turn's time, ends the block.

        Raises:
            ThreadBusy: the thread was not free within `wait` seconds.
            TurnTimeout: the turn took too long.
            ShuttingDown: the service ends before the turn could.
        """
        self.refuse_if_closing()
        deadline = asyncio.timeout(None)
        held = Hold(deadline, self._turn_timeout)
        self._deadlines.add(deadline)
        self._idle.clear()
        try:
            async with deadline, self.hold(thread_id, wait) as held.fence:
                yield held
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise self.ended_by(held) from error
        finally:
            self._deadlines.discard(deadline)
            if not self._deadlines:
                self._idle.set()

    def ended_by(self, held: Hold) -> RunError:
        """What has ended a turn whose deadline is over."""
        if self._closing:
            return ShuttingDown(_COME_BACK)
        return TurnTimeout(f"No answer within {held.seconds:g} s.")

    async def run_held(
        self, turn: Turn, held: Hold, outcome: Outcome, checked: Checked | None = None
    ) -> AsyncGenerator[Part]:
        """Run a turn on a thread that is held: yield its parts, and fill in what it comes to.

        Args:
            turn: what is asked.
            held: of `hold_for_turn`.
            outcome: is given each state of the graph; the last one counts.
            checked: what `check` returned, where it was asked before.

        Raises:
            GraphNotFound, InvalidInput: nothing was run or written.
            Exception: whatever a node raised.
        """
        checked = checked or self.check(turn)
        held.seconds = min(self._turn_timeout, turn.timeout or self._turn_timeout)
        if not self._closing:
            held.deadline.reschedule(asyncio.get_running_loop().time() + held.seconds)
        config = self._config(turn, held)
        async with (
            self.graphs.open(turn.graph, config, context=checked.context) as graph,
            aclosing(self._stream(turn, graph, checked.context, config)) as parts,
        ):
            before = turn.interrupt_before or graph.interrupt_before_nodes
            after = turn.interrupt_after or graph.interrupt_after_nodes
            outcome.breakpoints = bool(before or after)
            async for part in parts:
                if part.mode == "values" and not part.namespace:
                    outcome.take(output_of(graph, part.data))
                if part.unasked or part.mode in turn.stream_modes:
                    yield part
        if not (self._closing or held.deadline.expired()):
            held.deadline.reschedule(None)  # it has its answer, which is only to be stored

    def _stream(
        self, turn: Turn, graph: Graph, context: Any, config: RunnableConfig
    ) -> AsyncGenerator[Part]:
        return _stream(turn, graph, self.graphs.context_of(turn.graph, graph, context), config)

    @property
    def closing(self) -> bool:
        """Whether no more turns are taken, and those under way are to end."""
        return self._closing

    def refuse_if_closing(self) -> None:
        """Raise ShuttingDown where no more turns are taken."""
        if self._closing:
            raise ShuttingDown(_COME_BACK)

    async def drain(self, grace: float) -> None:
        """Take no more turns; end those that run on after `grace` seconds with ShuttingDown.

        Called again meanwhile it ends them sooner.
        """
        self._closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._idle.wait()
        for deadline in self._deadlines:
            if deadline.expired():  # its turn is over, and only waits for its end to be stored
                continue
            deadline.reschedule(asyncio.get_running_loop().time())

    def _config(self, turn: Turn, held: Hold) -> RunnableConfig:
        own = {**turn.services, "turn_timeout": held.seconds} if turn.timeout else turn.services
        services = MappingProxyType({**self.services, **own}) if own else self.services
        configurable = {**turn.config.get("configurable", {}), "__everturn": services}
        if turn.thread_id is not None:
            configurable["thread_id"] = turn.thread_id
        if turn.ttl is not None:
            configurable[TTL_KEY] = Unsent(turn.ttl)
        if held.fence is not None:
            configurable[FENCE_KEY] = Unsent(held.fence)
        # LangGraph's own name for it; a thread that waits is resumed by the graph that asked.
        metadata = {**turn.config.get("metadata", {}), "graph_id": turn.graph}
        config = {**turn.config, "configurable": configurable, "metadata": metadata}
        return cast("RunnableConfig", config)


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
        **({"control": turn.control} if turn.control else {}),
    }
    parts = _events if turn.events else _parts
    if graph.stream_transformers and "tools" in turn.stream_modes:  # by the event protocol
        parts = transformed
    streamed = False
    try:
        async for part in parts(graph, turn.input, config, options):
            streamed = True
            yield part
    except (
        EmptyInputError,
        InvalidUpdateError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        NotImplementedError,
        RecursionError,
    ) as error:
        if is_invalid_resume(error):
            raise InvalidAnswer(f"What waits cannot be answered so: {_flaws(error)}") from error
        if not _is_of_the_input(turn.input, error, streamed=streamed):
            raise
        raise InvalidInput(f"The input does not fit the graph {turn.graph!r}: {error}") from error


def _is_of_the_input(given: Any, error: Exception, *, streamed: bool) -> bool:
    """Say whether what was asked is wrong, and not a node.

    A command may send a node what it does not expect, or to one node twice at a time.
    """
    if isinstance(given, Command):
        goto = [given.goto] if isinstance(given.goto, Send) else given.goto
        sends = any(isinstance(each, Send) for each in goto)
        if sends or isinstance(error, InvalidUpdateError):
            return True
    of_a_node = any("During task" in note for note in getattr(error, "__notes__", ()))
    return not (streamed or of_a_node)


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
            yield Part("events", event, unasked=True)


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


def output_of(graph: Graph, values: Any) -> Any:
    """Keep of a state what the graph's output schema shows, and its interrupts."""
    shown = graph.output_channels
    if isinstance(shown, str) or not isinstance(values, dict):
        return values
    return {key: value for key, value in values.items() if key in shown or key == "__interrupt__"}
