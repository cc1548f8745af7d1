"""How the calls of one model turn are executed: side by side, each within its own bounds.

LangGraph's `ToolNode` stays underneath: it knows what to inject into a tool, and what a tool that
returns a `Command` may do. What it lacks is put around each call, through its `awrap_tool_call`:
how many run at once, for how long, threads for tools that block, the cache, and failures in words
that are safe to show.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from threading import Thread
from time import perf_counter
from typing import Any, cast

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langchain_core.tools import Tool as TextTool
from langgraph.errors import GraphBubbleUp, is_invalid_resume
from langgraph.prebuilt.tool_node import ToolCallRequest, ToolInvocationError
from langgraph.types import Command
from pydantic import BaseModel
from structlog import get_logger

from everturn.tools.kit.answers import say_attempt
from everturn.tools.kit.arguments import unknown_arguments
from everturn.tools.kit.cache import Made, ToolCache, key_of
from everturn.tools.kit.current import CURRENT, CurrentCall
from everturn.tools.kit.declare import declared
from everturn.tools.kit.meter import Counter
from everturn.tools.kit.offered import offered_name
from everturn.tools.kit.results import bound, classed, failed, failure_of, named
from everturn.tools.kit.settings import ToolSettings
from everturn.tools.kit.threads import in_thread

log = get_logger(__name__)

_GRACE = 0.5  # s that a tool has to end once it is cancelled
_MAX_STUCK = 4  # calls of one tool that may go on after their time

Answer = Any
"""A ToolMessage, a Command, or a list of both, as `ToolNode` takes them."""
Execute = Callable[[ToolCallRequest], Awaitable[Answer]]
Keep = Callable[[str, Answer], Awaitable[None]]
Screen = Callable[[Answer], Awaitable[Answer]]


@dataclass(slots=True)
class Round:
    """The calls of one model turn, while they are executed."""

    name: str
    """Names the model's turn, on its thread; idempotency keys are made of it."""
    answered: Mapping[str, ToolMessage] = field(default_factory=dict)
    """By id: answers of calls that are not to be executed, for instance refused ones."""
    skipped: frozenset[str] = frozenset()
    """Ids of calls that were answered before."""
    one_by_one: bool = False
    """In their order, and no further than the first that pauses."""
    kept: Mapping[str, Answer] = field(default_factory=dict)
    """By id: answers of an earlier attempt of this step."""
    attempt: int = 1
    """How often the step has been begun, as far as that is known."""
    keep: Keep | None = None
    """Keeps an answer until the step is stored."""
    screen: Screen | None = None
    """Screens an answer before anybody sees it."""
    unanswered: set[str] = field(default_factory=set)
    """Ids of calls that are executed and have not answered."""
    paused: dict[str, Exception | None] = field(default_factory=dict)
    """By id: calls without an answer, and the interrupt they raised; `None`: not started."""
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def take(self, call_id: str, answer: Answer) -> None:
        """Have an answer kept while others are awaited; the last one is stored with the step."""
        self.unanswered.discard(call_id)
        if self.keep and self.unanswered:
            await self.keep(call_id, answer)


ROUND: ContextVar[Round] = ContextVar("round_of_tool_calls")


class _TookTooLong(Exception):
    """The call did not end in its time."""


class Execution:
    """Executes calls, for all turns of a process."""

    def __init__(self, settings: ToolSettings, cache: ToolCache, counter: Counter) -> None:
        self._settings = settings
        self._cache = cache
        self.counter = counter
        self._left: defaultdict[str, list[Callable[[], bool]]] = defaultdict(list)

    def begin(self, current: Round) -> None:
        """Make a round the current one, for tasks that this context starts from here on."""
        at_once = 1 if current.one_by_one else self._settings.tool_concurrency
        current.slots = asyncio.Semaphore(at_once)
        ROUND.set(current)

    async def call(self, request: ToolCallRequest, execute: Execute) -> Answer:
        """Answer one call of the current round: `ToolNode`'s `awrap_tool_call`.

        A call that pauses, to ask a person say, is noted in the round and answered with nothing:
        its siblings go on, and what they have done is not lost.
        """
        current, call_id = ROUND.get(), request.tool_call["id"] or ""
        if answered := current.answered.get(call_id):
            self.counter.called(_name(request.tool), failure_of(answered))
            return answered
        if call_id in current.kept:
            return current.kept[call_id]
        nothing = ToolMessage("", tool_call_id=call_id)
        if call_id in current.skipped:
            return nothing
        async with current.slots:
            if current.one_by_one and current.paused:
                current.paused[call_id] = None
                return nothing
            key = blake2b(f"{current.name} {call_id}".encode(), digest_size=16).hexdigest()
            CURRENT.set(CurrentCall(key, current.attempt))
            try:
                answer = await self._counted(request, execute)
                answer = await current.screen(answer) if current.screen else answer
            except GraphBubbleUp as pause:
                current.paused[call_id] = pause
            except Exception as error:  # an answer to a tool's question that does not fit it
                current.paused[call_id] = error
            else:
                # Before the next call may start: the process may die in that one.
                await current.take(call_id, answer)
                return answer
            finally:
                current.unanswered.discard(call_id)
            return nothing

    def stuck(self, tool: str) -> int:
        """Count the calls of a tool that go on after their time."""
        if tool not in self._left:
            return 0
        self._left[tool] = [goes_on for goes_on in self._left[tool] if goes_on()]
        return len(self._left[tool])

    async def _counted(self, request: ToolCallRequest, execute: Execute) -> Answer:
        started, tool, call = perf_counter(), request.tool, request.tool_call
        current = ROUND.get()
        if tool is None:
            names = [offered_name(tool.name) for tool in request.runtime.tools]
            there_are = ", ".join(names) or "none"
            answer = failed(call, "unknown_tool", f"There is no such tool; there are: {there_are}.")
        elif unknown := unknown_arguments(call["args"], tool):
            answer = failed(call, "wrong_arguments", unknown)
        elif self.stuck(tool.name) >= _MAX_STUCK:
            answer = failed(call, "stuck", "Earlier calls of this tool do not end. Do without it.")
        else:
            answer = await self._through_cache(request, execute, tool)
        if current.attempt > 1 and tool and not declared(tool).get("cache"):
            for message in _messages(answer):
                say_attempt(message, current.attempt)
        first = next(_messages(answer), None)
        failure = failure_of(first) if first else None
        self.counter.called(_name(tool), failure, perf_counter() - started)
        return answer

    async def _through_cache(
        self, request: ToolCallRequest, execute: Execute, tool: BaseTool
    ) -> Answer:
        said, call = declared(tool), request.tool_call
        seconds = said.get("timeout", self._settings.tool_timeout)
        ttl = said.get("cache")
        args = _canonical(tool, call) if ttl else None
        key = None if args is None else key_of(tool.name, said.get("version", ""), args)
        if ttl is None or key is None:
            return await self._safely(request, execute, tool, seconds)

        async def make() -> Made:
            answer = await self._safely(request, execute, tool, seconds)
            current = CURRENT.get()
            return Made(answer, keep=current is None or current.keep)

        answer, use = await self._cache.answer(key, ttl, seconds + 2 * _GRACE, make)
        self.counter.cache_used(tool.name, use)
        if isinstance(answer, ToolMessage) and use in {"hit", "joined"}:
            more = {**answer.additional_kwargs, "cached": True}
            own = {"tool_call_id": call["id"], "name": call["name"], "additional_kwargs": more}
            return answer.model_copy(update=own)
        return answer

    async def _safely(
        self, request: ToolCallRequest, execute: Execute, tool: BaseTool, seconds: float
    ) -> Answer:
        """Execute a call; a failure becomes an answer too."""
        call = request.tool_call
        try:
            answer = await self._in_time(request, execute, tool, seconds)
        except GraphBubbleUp:
            raise
        except _TookTooLong:
            answer = failed(
                call, "timeout", f"No result within {seconds:g} s. Do without, or try once more."
            )
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            answer = failed(call, "internal", "The tool broke itself off. Do without it.")
        except Exception as error:
            if is_invalid_resume(error):
                raise
            answer = _explained(error, tool, call)
        for message in _messages(answer):
            bound(classed(message), self._settings.tool_result_limit)
        return answer

    async def _in_time(
        self, request: ToolCallRequest, execute: Execute, tool: BaseTool, seconds: float
    ) -> Answer:
        """Execute a call within `seconds`; what goes on after that is left behind."""
        off_loop = _OffLoop(tool) if _blocks(tool) else None
        if off_loop:
            request = request.override(tool=cast("BaseTool", off_loop))
        attempt = asyncio.ensure_future(execute(request))
        try:
            done, _ = await asyncio.wait({attempt}, timeout=seconds)
            if done:
                return attempt.result()
            raise _TookTooLong
        finally:
            if not attempt.done():
                attempt.add_done_callback(_retrieve)
                attempt.cancel()
                await asyncio.wait({attempt}, timeout=_GRACE)
                self._leave(tool.name, attempt, off_loop.thread if off_loop else None)

    def _leave(self, tool: str, attempt: asyncio.Future[Any], thread: Thread | None) -> None:
        """Remember what goes on after its time: neither thread nor stubborn task can be ended."""
        if thread is not None and thread.is_alive():
            self._left[tool].append(thread.is_alive)
        elif not attempt.done():
            self._left[tool].append(lambda: not attempt.done())
        else:
            return
        log.warning("tool_left_running", tool=tool, running=self.stuck(tool))


class _OffLoop:
    """A tool that blocks, in the eyes of `ToolNode`: it awaits the tool in a thread."""

    def __init__(self, tool: BaseTool) -> None:
        self._tool = tool
        self.thread: Thread | None = None

    async def ainvoke(self, call: Any, config: RunnableConfig) -> Any:
        work = partial(self._tool.invoke, call, config)
        self.thread, result = in_thread(work, f"tool {self._tool.name}")
        return await result


def _blocks(tool: BaseTool) -> bool:
    """Say whether a tool has only a synchronous side, which would block the event loop."""
    if isinstance(tool, StructuredTool | TextTool):
        ours = type(tool)._arun in {StructuredTool._arun, TextTool._arun}  # noqa: SLF001 - overridden or not
        return ours and tool.coroutine is None
    return type(tool)._arun is BaseTool._arun  # noqa: SLF001 - overridden or not


def _explained(error: Exception, tool: BaseTool, call: ToolCall) -> ToolMessage:
    """Say what the model may know: its own mistakes, a tool's own words, a bug by its class."""
    if isinstance(error, ToolInvocationError) and _is_of_arguments(error, tool):
        flaws = named(error.filtered_errors)
        return failed(call, "wrong_arguments", flaws or "They are not what the tool takes.")
    if isinstance(error, ToolException) and not isinstance(error, ToolInvocationError):
        return failed(call, "tool_error", str(error) or "The tool does not say what is wrong.")
    cause = error.source if isinstance(error, ToolInvocationError) else error
    log.warning("tool_failed", tool=tool.name, error=type(cause).__name__, exc_info=cause)
    name = type(cause).__name__
    return failed(call, "internal", f"The tool failed with {name}. Do without, or try once more.")


def _is_of_arguments(error: ToolInvocationError, tool: BaseTool) -> bool:
    """Say whether the model's arguments are wrong, and not a validation inside the tool."""
    schema = tool.args_schema
    return isinstance(schema, type) and error.source.title == schema.__name__


def _canonical(tool: BaseTool, call: ToolCall) -> Mapping[str, Any] | None:
    """Return a call's arguments as the tool reads them, with defaults; `None` if they misfit."""
    schema = tool.tool_call_schema  # without what LangGraph injects
    if isinstance(schema, dict):
        return call["args"]
    if not issubclass(schema, BaseModel):
        return None
    try:
        return schema.model_validate(call["args"]).model_dump(mode="json")
    except ValueError:
        return None


def _name(tool: BaseTool | None) -> str | None:
    return tool.name if tool else None


def _messages(answer: Answer) -> Iterator[ToolMessage]:
    if isinstance(answer, ToolMessage):
        yield answer
    elif isinstance(answer, Command) and isinstance(answer.update, dict):
        for message in answer.update.get("messages") or ():
            if isinstance(message, ToolMessage):
                yield message
    elif isinstance(answer, list):
        for each in answer:
            yield from _messages(each)


def _retrieve(attempt: asyncio.Future[Any]) -> None:
    """Take note of how an abandoned call ended, or asyncio would complain of it."""
    if not attempt.cancelled():
        attempt.exception()
