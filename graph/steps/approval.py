"""Asking a person before tools are called: which calls, and what was decided of them.

Request and answer have the shape of LangChain's human-in-the-loop middleware, which Studio and
other clients know: `{"action_requests": […], "review_configs": […]}`, answered by
`{"decisions": […]}`, one a request and in their order. Or each names its call by its `id`: then it
holds for that call, whatever tools have come or gone while it waited.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.types import interrupt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from everturn.graph.models.arguments import MAX_DEPTH
from everturn.tools.kit.arguments import flaws
from everturn.tools.kit.results import failed
from everturn.tools.kit.toolbox import Offer
from everturn.tools.kit.values import flaw_in

_DECISIONS = ("approve", "edit", "reject")


def _writable(args: dict[str, Any]) -> dict[str, Any]:
    if flaw := flaw_in(args, MAX_DEPTH):
        raise ValueError(flaw)
    return args


class Action(BaseModel):
    """What to call in place of what the model called."""

    name: str | None = None
    """Another tool; none: the same."""
    args: Annotated[dict[str, Any], AfterValidator(_writable)]


class _Decided(BaseModel):
    id: str | None = None
    """The call's."""


class Approve(_Decided):
    """Let the call be made."""

    type: Literal["approve"]


class Edit(_Decided):
    """Let it be made with other arguments."""

    type: Literal["edit"]
    edited_action: Action


class Reject(_Decided):
    """Do not make it, and tell the model why."""

    model_config = ConfigDict(str_max_length=4000)

    type: Literal["reject"]
    message: str | None = None


Decision = Annotated[Approve | Edit | Reject, Field(discriminator="type")]


@dataclass(slots=True)
class Approved:
    """A message that calls tools, after a person has seen it."""

    asked: AIMessage
    """The message, with the arguments that were put in."""
    refused: dict[str, ToolMessage] = field(default_factory=dict)
    """By id: what is answered in place of a call that was rejected."""
    ids: set[str] = field(default_factory=set)
    """The calls that a person let be made."""


class Approval(Protocol):
    """Says which calls a person must approve; a toolbox does."""

    def needs_approval(self, tool: BaseTool) -> bool:
        """Say whether a person must approve each call of a tool."""
        ...


def approved(
    asked: AIMessage, waiting: AbstractSet[str], approval: Approval, offer: Offer
) -> Approved:
    """Have those of the `waiting` calls approved that need it, all at once.

    Calls with wrong arguments are answered here, without asking a person: only what a person
    has approved reaches the tool, which may read its arguments less strictly than its schema says.

    Raises:
        GraphInterrupt: no decision has come yet.
        ValidationError: what came is not a decision on each call; they still wait.
    """
    seen = Approved(asked)
    calls: list[ToolCall] = []
    for call in asked.tool_calls:
        tool = offer.by_name.get(call["name"])
        if (call["id"] or "") not in waiting or tool is None or not approval.needs_approval(tool):
            continue
        if wrong := flaws(call, tool):
            seen.refused[call["id"] or ""] = failed(call, "wrong_arguments", wrong)
        else:
            calls.append(call)
    decided: dict[str, Decision] = {}
    while undecided := [call for call in calls if (call["id"] or "") not in decided]:
        decided |= _decisions(undecided, offer)
    edited: dict[str, ToolCall] = {}
    for call in asked.tool_calls:
        call_id = call["id"] or ""
        decision = decided.get(call_id) if call_id in waiting else None
        match decision:
            case Reject(message=why):
                reason = f" Reason: {why}" if why else ""
                text = f"The user did not approve this call.{reason}"
                seen.refused[call_id] = failed(call, "refused", text)
                continue
            case Edit(edited_action=action):
                edited[call_id] = _edited(call, action)
            case None:
                continue
        seen.ids.add(call_id)
    if edited:
        made = [edited.get(call["id"] or "", call) for call in asked.tool_calls]
        seen.asked = asked.model_copy(update={"tool_calls": made})
    return seen


def _edited(call: ToolCall, action: Action) -> ToolCall:
    return {**call, "name": action.name or call["name"], "args": action.args}


def _check(edited: ToolCall, offer: Offer) -> None:
    """Refuse an edit that its tool would not take, while the call can still be decided on.

    Raises:
        ValueError: there is no such tool, or naming what is wrong with its arguments.
    """
    tool = offer.by_name.get(edited["name"])
    if tool is None:
        raise ValueError(f"there is no tool {edited['name']!r}")
    if wrong := flaws(edited, tool):
        raise ValueError(f"the arguments do not fit {tool.name}: {wrong}")


def _decisions(calls: Sequence[ToolCall], offer: Offer) -> dict[str, Decision]:
    """Pause until a person has decided on the calls; return the decisions by the call's id."""
    waiting = {call["id"] or "": call for call in calls}

    def by_id(found: list[Decision]) -> list[Decision]:
        if any(decision.id is None for decision in found):
            if len(found) != len(calls):
                raise ValueError(f"give {len(calls)}, one for each call, or name calls by id")
            for call, decision in zip(calls, found, strict=True):
                decision.id = decision.id or call["id"]
        for decision in found:
            made = waiting.get(decision.id or "")
            if made is not None and isinstance(decision, Edit):
                _check(_edited(made, decision.edited_action), offer)
        return found

    answer: Any = interrupt(
        {
            "action_requests": [
                {
                    "id": call["id"],
                    "name": call["name"],
                    "args": call["args"],
                    "description": offer.by_name[call["name"]].description,
                }
                for call in calls
            ],
            "review_configs": [
                {"action_name": name, "allowed_decisions": list(_DECISIONS)}
                for name in dict.fromkeys(call["name"] for call in calls)
            ],
        },
        response_schema=create_model(
            "Decisions",
            decisions=(Annotated[list[Decision], AfterValidator(by_id)], Field(min_length=1)),
        ),
    )
    return {decision.id or "": decision for decision in answer.decisions}
