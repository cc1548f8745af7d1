"""One attempt: what a model is shown, what it may do, and its answer or what is wrong with it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, SystemMessage
from langchain_core.runnables.config import merge_configs
from langchain_core.utils.utils import LC_ID_PREFIX
from langgraph.config import get_config

from everturn.graph.context import Context
from everturn.graph.models.call import Call
from everturn.graph.models.catalogue import Model
from everturn.graph.models.failures import Failure, failure_of
from everturn.graph.models.response_format import response_format
from everturn.graph.state import State
from everturn.graph.steps.memories import with_memories
from everturn.graph.steps.tokens import reckoned, tokens_of_schemas
from everturn.graph.steps.window import calls_tools, mend, start_of_window, tool_rounds
from everturn.graph.summaries.block import still_of
from everturn.graph.summaries.notes import LEAST, with_notes
from everturn.graph.summaries.simple import MAX_TOKENS

_ANSWER_TOKENS = 4_000
"""Kept free for an answer to a caller who names no `max_tokens`."""

ToolSchemas = Sequence[dict[str, Any]]
"""Tools as the wire names them: OpenAI's function schemas."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is shown of a thread."""

    messages: list[BaseMessage]
    mended: list[AnyMessage] | None
    """The whole thread, where it had to be mended first."""
    may_call: bool
    """The turn has rounds of tool calls left."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an attempt: a whole answer, or a failure, or an answer and its fault."""

    answer: AIMessage | None
    failure: Failure | None
    seconds: float
    message_id: str
    """Under which it was shown."""


def prompt_of(
    state: State, context: Context, *, trimmed: bool = False, room: int | None = None
) -> Prompt:
    """Make the prompt: the system's words, then the window, or the current turn alone.

    What the window leaves out is summed up in the system's words. With `room` for so many tokens
    both are as long as fits, but for the current turn, which is whole.
    """
    mended = mend(state["messages"])
    history = mended or state["messages"]
    system = with_memories(context.system_prompt, state.get("memories", ()))
    if room is not None:
        room = max(0, room - (reckoned(system) - reckoned(context.system_prompt)))
    known = None if trimmed else state.get("summary")
    summary = known and still_of(known, state["messages"])
    size, most = 1 if trimmed else context.window, MAX_TOKENS + LEAST
    start = start_of_window(history, size, room)
    if room is not None and start > 0 and summary is not None:
        most = min(most, room // 4)
        start = start_of_window(history, size, room - most)
    system = with_notes(system, summary, history, start, most)
    return Prompt(
        messages=[SystemMessage(system), *history[start:]],
        mended=mended,
        may_call=tool_rounds(history) < context.tool_rounds,
    )


def room_of(model: Model, schemas: ToolSchemas, context: Context) -> int | None:
    """Return the tokens a model has for a conversation, beside the rest; None: nobody knows."""
    if model.context is None:
        return None
    answer = min(context.max_tokens or _ANSWER_TOKENS, model.context // 2)
    rest = reckoned(context.system_prompt) + tokens_of_schemas(schemas)
    return max(0, model.context - answer - rest)


async def ask(
    chat: BaseChatModel,
    prompt: Prompt,
    schemas: ToolSchemas,
    context: Context,
    call: Call | None = None,
) -> Outcome:
    """Ask once; what the model raises is returned as a failure. A `call` is filled meanwhile."""
    now, run_id = asyncio.get_running_loop().time, uuid4()
    message_id, started = f"{LC_ID_PREFIX}-{run_id}", now()
    choices = _choices(schemas, context, may_call=prompt.may_call)
    if call is not None:
        choices["call"] = call
    try:
        config = merge_configs(get_config(), {"run_id": run_id})
        answer = await chat.ainvoke(prompt.messages, config, **choices)
    except Exception as error:
        midway = call is not None and call.answer.started
        return Outcome(None, failure_of(error, midway=midway), now() - started, message_id)
    fault = _disobedience(answer, choices)
    return Outcome(answer, fault, now() - started, answer.id or message_id)


def _disobedience(answer: AIMessage, choices: dict[str, Any]) -> Failure | None:
    if not calls_tools(answer):
        return None
    if "tools" not in choices:
        return Failure("unoffered_tool", "the model calls a tool though it was offered none")
    if "tool_choice" in choices:
        return Failure("tool_loop", "the model calls tools without end")
    return None


def _choices(schemas: ToolSchemas, context: Context, *, may_call: bool) -> dict[str, Any]:
    """Put the caller's choices as a model takes them.

    Out of rounds, the tools are shown but may not be called: the history that calls them would
    make no sense without.
    """
    chosen = {"temperature": context.temperature, "max_tokens": context.max_tokens}
    choices: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if context.stream_usage:
        choices["stream_usage"] = True
    if context.response_schema is not None:
        choices["response_format"] = response_format(context.response_schema)
    if schemas and context.use_tools:
        choices["tools"] = schemas
        if not may_call:
            choices["tool_choice"] = "none"
    if context.stream_policy == "buffer":
        choices["stream"] = False
    return choices
