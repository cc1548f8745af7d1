"""The node `tools`: executes the calls of one model turn, once a person has approved them."""

from collections.abc import Awaitable, Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.config import get_config
from langgraph.runtime import Runtime
from langgraph.types import Command

from everturn.graph.context import Context, context_as
from everturn.graph.guards.messages import screened_answer
from everturn.graph.nodes.model import Offering
from everturn.graph.services import (
    current_budget,
    current_guards,
    current_toolbox,
    offered_tools,
    place_of,
)
from everturn.graph.state import State
from everturn.graph.steps.approval import approved
from everturn.graph.steps.window import calls_of_turn, open_calls
from everturn.tools.kit.execution import Round
from everturn.tools.kit.results import failed
from everturn.tools.kit.toolbox import Offer

PAUSED = "paused_calls"
"""Key of a note on a message, some of whose calls paused: the ids of calls approved before that."""

_MAX_FLAW = 500
"""Characters: a client may have stored the call, with any text for what is wrong with it."""

Step = dict[str, Any] | Command[Any]


class ToolsNode(Protocol):
    """What LangGraph calls with the state and, by name, with what the run brings along."""

    def __call__(
        self, state: State, *, runtime: Runtime[Context]
    ) -> Awaitable[Step | list[Step]]: ...


def tools_node(offering: Offering | None = None, kind: type[Context] = Context) -> ToolsNode:
    """Return the node that answers calls of the tools that the context chooses, or of others."""

    async def tools(state: State, *, runtime: Runtime[Context]) -> Step | list[Step]:
        context = context_as(runtime, kind)
        offer = await (offering(state, context) if offering else offered_tools(context))
        return await _answered(state, offer)

    return tools


tools = tools_node()


async def _answered(state: State, offer: Offer) -> Step | list[Step]:
    """Answer each call under its `tool_call_id`, in the order of the calls.

    A failure is an answer too: the model reads it and may try again.

    Where tools pause, for instance to ask a person, the node first returns the results of the
    others with a note (`PAUSED`) on the message that called them. Their results are then
    checkpointed, and the node runs again for the paused calls alone, one after the other. It must
    be so: a resumed node starts from its beginning, so tools whose results were not stored would
    run twice, and LangGraph gives the n-th answer to the n-th interrupt, so an answer could reach
    the wrong tool if several ran at once.
    """
    config, toolbox = get_config(), await current_toolbox()
    messages = state["messages"]
    if budget := current_budget():
        budget.check_tools(calls_of_turn(messages), place_of(config))
    at = max(i for i, message in enumerate(messages) if isinstance(message, AIMessage))
    asked = messages[at]
    assert isinstance(asked, AIMessage)  # noqa: S101 - so it was chosen
    note: list[str] | None = asked.additional_kwargs.get(PAUSED)
    waiting = {call["id"] or "" for call in open_calls(messages)}
    seen = approved(asked, waiting - {*(note or ())}, toolbox, offer)
    current = Round(
        name=f"{config.get('configurable', {}).get('thread_id')} {asked.id}",
        answered=seen.refused,
        skipped=frozenset(call["id"] or "" for call in asked.tool_calls) - waiting,
        one_by_one=note is not None,
    )
    if guards := await current_guards():
        current.screen = partial(screened_answer, guards=guards)
    if toolbox.answers is not None:
        current.keep = partial(toolbox.answers.akeep_answer, config)
        if "route" not in state:  # it is lost with its process: another one was at this step
            current.kept = await toolbox.answers.akept_answers(config)
            current.attempt = config.get("metadata", {}).get("run_attempt", 1)
        else:  # a process that dies before that asks the model anew, and for other calls
            await toolbox.answers.astored(config)
    calls = {call["id"] or "" for call in asked.tool_calls}
    current.unanswered = calls & waiting - seen.refused.keys() - current.kept.keys()
    toolbox.execution.begin(current)
    shown = {**state, "messages": [*messages[:at], seen.asked, *messages[at + 1 :]]}
    made = await offer.node.ainvoke(shown, config)
    steps = list(_answers(made, without={*current.skipped, *current.paused}))
    for call in asked.invalid_tool_calls:
        if (call["id"] or "") in waiting:
            flaw = call.get("error") or "the arguments cannot be read"
            answer = failed(call, "malformed_call", flaw[:_MAX_FLAW])
            steps.append({"messages": [answer]})
            tool = call["name"] if call["name"] in offer.by_name else None
            toolbox.execution.counter.called(tool, "malformed_call")
    if pauses := [pause for pause in current.paused.values() if pause]:
        if not steps and (note is not None or len(waiting) == 1):
            raise pauses[0]
        kwargs = {**asked.additional_kwargs, PAUSED: sorted({*(note or ()), *seen.ids})}
        seen.asked = seen.asked.model_copy(update={"additional_kwargs": kwargs})
    if seen.asked is not asked:
        steps.insert(0, {"messages": [seen.asked]})
    return _joined(steps)


def _answers(made: Any, *, without: AbstractSet[str]) -> Iterator[Step]:
    """Yield what `ToolNode` returns, one step an answer, dated; `without` stand for nothing."""
    now = datetime.now(UTC).isoformat()
    for step in made if isinstance(made, list) else [made]:
        update = step.update if isinstance(step, Command) else step
        messages = update.get("messages") if isinstance(update, dict) else None
        for message in messages or ():
            if isinstance(message, ToolMessage):
                message.additional_kwargs["timestamp"] = now
        if isinstance(step, Command):
            yield step
        else:
            yield from ({"messages": [m]} for m in messages or () if m.tool_call_id not in without)


def _joined(steps: list[Step]) -> Step | list[Step]:
    """Put steps that only add messages together, unless a `Command` stands between them."""
    joined: list[Step] = []
    for step in steps:
        last = joined[-1] if joined else None
        if isinstance(step, dict) and isinstance(last, dict):
            last["messages"] += step["messages"]
        else:
            joined.append(step)
    return joined if len(joined) > 1 else joined[0]
