"""Asking an agent inside of a run: a conversation of its own, a time, and what came of it.

The agent is a graph like any other, and so are its calls: they go through the fallback router and
the run's budget, and are checkpointed in a namespace of their own.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables.config import merge_configs
from langgraph.config import get_config
from langgraph.errors import GraphRecursionError
from langgraph.pregel import Pregel

from everturn.graph.context import Context
from everturn.graph.errors import AgentError, InvalidAPIKey, UnknownModel
from everturn.graph.services import current_budget, for_agent
from everturn.graph.state import Answered, ModelCall, Usage
from everturn.graph.steps.allowance import Allowance
from everturn.graph.steps.route import calls_of

FAILED = "FAILED"
"""An answer that begins with this word says that it is none."""


class Limits(NamedTuple):
    """What an agent may take for a task."""

    seconds: float
    tokens: int | None = None
    """Of all models that it asks; `None`: any."""
    dollars: float | None = None


@dataclass(slots=True)
class Report:
    """What came of asking an agent."""

    text: str
    """Its answer, or why there is none."""
    failed: bool = False
    calls: list[ModelCall] = field(default_factory=list)
    """The calls of models that it took, as far as they are known."""
    asked: int = 0
    """Specialists that were asked for it."""


async def ask_agent(
    agent: Pregel[Any, Any, Any, Any],
    task: str,
    context: Context,
    limits: Limits,
    metadata: Mapping[str, Any],
) -> Report:
    """Have an agent answer a task, from inside a node; what it cannot do is reported, not raised.

    Raises:
        InvalidAPIKey, UnknownModel: every other call would end the same way.
        GraphInterrupt: a tool of it waits for a person.
        Exception: one of the budget's errors, or trouble with the stores.
    """
    seconds = limits.seconds
    allowance = Allowance(current_budget(), limits.tokens, limits.dollars)
    config = merge_configs(get_config(), {"metadata": dict(metadata)})
    config = await for_agent(config, allowance, seconds)
    values: dict[str, Any] = {}
    error: AgentError | None = None
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            given = {"messages": [HumanMessage(task)]}
            async for values in agent.astream(given, config, context=context, stream_mode="values"):  # noqa: B007
                pass
    except (InvalidAPIKey, UnknownModel):
        raise
    except TimeoutError:
        if not limit.expired():
            raise
        failure = f"no result within {seconds:g} s"
    except GraphRecursionError:
        failure = "it came to no end"
    except AgentError as raised:
        failure, error = str(raised), raised
    else:
        return _report_of(values["messages"])
    calls = calls_in(values.get("messages", ()), error.route if error else None)
    return Report(failure, failed=True, calls=calls)


def calls_in(messages: Sequence[AnyMessage], route: Answered | None = None) -> list[ModelCall]:
    """Return the calls of models that a conversation took; a `route` is of one that failed."""
    answers = [message for message in messages if isinstance(message, AIMessage)]
    if route is None and answers:
        route = answers[-1].response_metadata.get("route")
    calls = []
    for attempt in route["tried"] if route else ():
        failed = ModelCall(model=attempt["model"], failure=attempt["failure"])
        if "usage" in attempt:
            failed["usage"] = attempt["usage"]
        if "cost" in attempt:
            failed["cost"] = attempt["cost"]
        calls.append(failed)
    for message in messages:
        if isinstance(message, ToolMessage):
            calls += calls_of(message)
        elif isinstance(message, AIMessage):
            calls.append(_call_of(message))
    return calls


def spent_in(calls: Sequence[ModelCall]) -> tuple[int, float]:
    """Sum up the tokens and the US dollars of calls, as far as they are known."""
    tokens = sum(call["usage"]["total_tokens"] for call in calls if "usage" in call)
    return tokens, sum(call.get("cost", 0.0) for call in calls)


def _report_of(messages: Sequence[AnyMessage]) -> Report:
    answer = messages[-1]
    text = answer.text.strip()
    results = [m for m in messages if isinstance(m, ToolMessage)]
    failed = text.startswith(FAILED) or not text
    # A small model may tell of failures in words of its own: where no tool worked, none is true.
    failed = failed or (bool(results) and not any(map(_brought_something, results)))
    asked = sum(m.response_metadata.get("asked", 0) for m in results)
    return Report(text or "it said nothing", failed, calls_in(messages), asked)


def _brought_something(result: ToolMessage) -> bool:
    """Say whether a tool worked: some say `"success": false` of themselves."""
    if result.status == "error":
        return False
    try:
        found = json.loads(result.text)
    except (ValueError, RecursionError):
        return True
    return not (isinstance(found, dict) and found.get("success") is False)


def _call_of(answer: AIMessage) -> ModelCall:
    said = answer.response_metadata
    call = ModelCall(model=said.get("route", {}).get("model") or said.get("model_name") or "none")
    if used := answer.usage_metadata:
        call["usage"] = Usage(
            input_tokens=used["input_tokens"],
            output_tokens=used["output_tokens"],
            total_tokens=used["total_tokens"],
        )
    if (cost := said.get("cost")) is not None:
        call["cost"] = cost
    return call
