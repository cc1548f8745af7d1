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
    Coroutine,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import EmptyInputError, InvalidUpdateError
from langgraph.types import Command, StreamMode

from checkpoints.history import FinishedTurn, History
from checkpoints.locks import ThreadLocks
from server.runs.errors import InvalidInput, TurnTimeout
from server.runs.graphs import Graph, Graphs
from server.runs.outcome import Outcome

STREAM_MODES: tuple[StreamMode, ...] = get_args(StreamMode)
_RECURSION_LIMIT = 50
_MAX_WAITING_PARTS = 256


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


@dataclass(frozen=True, slots=True)
class Part:
    """One event of a running graph: a stream mode and what LangGraph sent under it."""

    mode: StreamMode
    data: Any


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
            turn_timeout: seconds a turn may take once it has begun.
            thread_wait: seconds a turn waits for its thread.
        """
        self.graphs = graphs
        self._checkpointer = checkpointer
        self._locks = locks
        self._history = history
        self._services = services
        self._turn_timeout = turn_timeout
        self._thread_wait = thread_wait
        self._running: set[asyncio.Task[None]] = set()

    def check(self, turn: Turn) -> tuple[Graph, Any]:
        """Return the turn's graph and its context in the graph's own type.

        Raises:
            GraphNotFound, InvalidInput: before anything is run or written.
        """
        graph = self.graphs[turn.graph]
        if turn.input == {}:
            raise InvalidInput(f"The input for the graph {turn.graph!r} is empty.")
        return graph, self.graphs.context(turn.graph, turn.context)

    async def run(self, turn: Turn, emit: Emit = _nobody) -> Outcome:
        """Run a turn to its end and return what it came to, stored.

        Raises:
            GraphNotFound, InvalidInput: nothing was run or written.
            ThreadBusy: the thread's earlier turn did not end while this one waited.
            TurnTimeout: the turn took too long.
            Exception: whatever a node raised.
        """
        graph, context = self.check(turn)
        async with self._alone(turn.thread_id) as fence:
            outcome = await self._bounded(self._follow(turn, graph, context, fence, emit))
            await self._remember(turn, outcome)
        return outcome

    async def _bounded(self, following: Coroutine[Any, Any, Outcome]) -> Outcome:
        deadline = asyncio.timeout(self._turn_timeout)
        try:
            async with deadline:
                return await following
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise TurnTimeout(f"No answer within {self._turn_timeout:g} s.") from error

    async def _follow(
        self, turn: Turn, graph: Graph, context: Any, fence: int | None, emit: Emit
    ) -> Outcome:
        """Run the graph and pass on its parts; the last state is the outcome."""
        outcome = Outcome()
        async with aclosing(_stream(graph, turn, context, self._config(turn, fence))) as parts:
            async for part in parts:
                if part.mode == "values":
                    outcome.take(_output(graph, part.data))
                if part.mode in turn.stream_modes:
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

    async def forget(self, thread_id: str) -> bool:
        """Delete a thread's memory and history once no turn runs on it; say if there was any."""
        async with self._alone(thread_id):
            known = await self._checkpointer.aget_tuple(_thread(thread_id)) is not None
            await self._checkpointer.adelete_thread(thread_id)
            return bool(await self._history.delete(thread_id)) or known

    def _alone(self, thread_id: str | None) -> AbstractAsyncContextManager[int | None]:
        if thread_id is None:
            return nullcontext()
        return self._locks.hold(thread_id, wait=self._thread_wait)

    def _config(self, turn: Turn, fence: int | None) -> RunnableConfig:
        configurable = {**turn.config.get("configurable", {}), "__everturn": self._services}
        if turn.thread_id is not None:
            configurable["thread_id"] = turn.thread_id
        if turn.ttl is not None:
            configurable["__ttl"] = turn.ttl
        if fence is not None:
            configurable["__fence"] = fence
        config = {"recursion_limit": _RECURSION_LIMIT, **turn.config, "configurable": configurable}
        return cast("RunnableConfig", config)

    async def _remember(self, turn: Turn, outcome: Outcome) -> None:
        """Write the history row of a finished turn; the caller is answered after its commit."""
        if turn.thread_id is None or outcome.question is None or outcome.answer is None:
            return
        await self._history.add(
            FinishedTurn(
                session_id=turn.thread_id,
                user_message=outcome.question.text,
                assistant_message=outcome.answer.text,
                tools_used=outcome.tools_used,
                model_used=outcome.route["model"] or "",
                tokens_used=outcome.usage["total_tokens"],
                cost=outcome.cost,
                metadata={"graph": turn.graph, "route": outcome.route},
            )
        )


async def _stream(
    graph: Graph, turn: Turn, context: Any, config: RunnableConfig
) -> AsyncGenerator[Part]:
    """Stream the graph; what fails before its first state is the fault of the input."""
    if turn.thread_id is None and graph.checkpointer is not None:
        graph = graph.copy({"checkpointer": None})
    modes = list(dict.fromkeys(("values", *turn.stream_modes)))
    begun = False
    try:
        async for mode, data in graph.astream(
            turn.input, config, context=context, stream_mode=modes
        ):
            begun = True
            yield Part(cast("StreamMode", mode), data)
    except (
        EmptyInputError,
        InvalidUpdateError,
        ValueError,
        TypeError,
        NotImplementedError,
    ) as error:
        if begun or isinstance(turn.input, Command):
            raise
        raise InvalidInput(f"The input does not fit the graph {turn.graph!r}: {error}") from error


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
