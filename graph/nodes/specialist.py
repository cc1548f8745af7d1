"""A node for each specialist: it answers one call, in a conversation of its own."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from hashlib import blake2b
from time import perf_counter
from typing import Any, Protocol

from langchain_core.messages import ToolMessage
from langgraph.config import get_config
from langgraph.pregel import Pregel
from langgraph.runtime import Runtime

from everturn.graph.context import Context, TeamContext, context_as
from everturn.graph.guards.messages import screened_answer
from everturn.graph.services import current_guards, current_toolbox
from everturn.graph.specialists.kit.specialist import Specialist
from everturn.graph.steps.delegation import FAILED, Limits, Report, ask_agent
from everturn.graph.steps.route import CALLS, SPEAKER
from everturn.graph.steps.team import ASKED, DEPTH, depth
from everturn.graph.team_state import Task
from everturn.tools.kit.results import bound, failed, failure_of

_MAX_RESULT = 20_000
"""Characters."""
_PROMPT = (
    "You are the {name} of a team, and are asked by a colleague who answers the user. {purpose} "
    "Answer the task alone, briefly and in its language, and never invent a result. If it cannot "
    "be done, answer " + FAILED + " and why. {instructions}"
)


class SpecialistNode(Protocol):
    """What LangGraph calls with the task and, by name, with what the run brings along."""

    def __call__(self, state: Task, *, runtime: Runtime[Context]) -> Awaitable[dict[str, Any]]: ...


def specialist_node(specialist: Specialist, agent: Pregel[Any, Any, Any, Any]) -> SpecialistNode:
    """Return the node that has a specialist do a task: by an agent with its tools, or elsewhere."""

    async def member(state: Task, *, runtime: Runtime[Context]) -> dict[str, Any]:
        context, call = context_as(runtime, TeamContext), state["call"]
        task, seconds, below = call["args"]["task"], state["seconds"], depth() + 1
        began = perf_counter()
        if specialist.remote:
            report = await specialist.remote.ask(task, seconds, _key(call["id"]), below)
        else:
            limits = Limits(seconds, state["tokens"], state["cost"])
            speaker = {SPEAKER: specialist.name, DEPTH: below}
            if specialist.colleagues:
                from everturn.graph import team  # it is made of these nodes

                choices: Context = _as_team(specialist, context, state)
                report = await ask_agent(team.graph, task, choices, limits, speaker)
            else:
                choices = _as_agent(specialist, context)
                report = await ask_agent(agent, task, choices, limits, speaker)
        answer = _answer(call, report)
        counter = (await current_toolbox()).execution.counter
        counter.called(specialist.name, failure_of(answer), perf_counter() - began)
        if guards := await current_guards():
            answer = await screened_answer(answer, guards)
        return {"messages": [answer]}

    return member


def _as_agent(specialist: Specialist, context: TeamContext) -> Context:
    return context.for_agent(
        system_prompt=_prompt(specialist),
        tools=specialist.tools_within(context.tools),
        **specialist.needs(context),
    )


def _as_team(specialist: Specialist, context: TeamContext, share: Task) -> TeamContext:
    """Let a specialist ask its colleagues, with its share of what the turn may take."""
    return context.model_copy(
        update={
            "response_schema": None,  # of the whole run's answer
            "system_prompt": _prompt(specialist),
            "own_tools": specialist.tools_within(context.tools),
            "specialists": list(specialist.colleagues),
            "max_calls": share["calls"],
            "max_team_tokens": share["tokens"],
            "max_team_cost": share["cost"],
            **specialist.needs(context),
        }
    )


def _prompt(specialist: Specialist) -> str:
    return _PROMPT.format(
        name=specialist.name, purpose=specialist.purpose, instructions=specialist.instructions
    ).strip()


def _answer(call: Any, report: Report) -> ToolMessage:
    answer = (
        failed(call, "tool_error", report.text)
        if report.failed
        else ToolMessage(report.text, tool_call_id=call["id"] or "", name=call["name"])
    )
    answer.response_metadata = {CALLS: report.calls, ASKED: 1 + report.asked}
    answer.additional_kwargs["timestamp"] = datetime.now(UTC).isoformat()
    return bound(answer, _MAX_RESULT)


def _key(call_id: str | None) -> str:
    """Name a task, so that a server that is asked again for it knows it."""
    thread = get_config().get("configurable", {}).get("thread_id")
    return blake2b(f"{thread} {call_id}".encode(), digest_size=16).hexdigest()
