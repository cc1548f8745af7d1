"""Tool calls that wait for a person, and what was decided of them, whatever graph asks.

A graph asks as LangChain's human-in-the-loop middleware does: an interrupt whose value has
`action_requests`, resumed with `decisions` in the same order. Here each call has an id.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langgraph.types import Interrupt

from everturn.server.errors import InvalidInput

Flaws = Callable[[str, Mapping[str, Any]], str | None]
"""From a tool's name and arguments to what is wrong with them, argument by argument."""


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A tool call that waits to be approved."""

    id: str
    name: str
    args: Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided of one call."""

    id: str
    type: Literal["approve", "edit", "reject"]
    args: Mapping[str, Any] | None = None
    """With `edit`: the arguments to call with instead."""
    message: str | None = None
    """With `reject`: what the model reads."""


def approval_in(interrupts: Sequence[Interrupt]) -> Interrupt | None:
    """Return the interrupt that asks for approval, if one does."""
    return next((each for each in interrupts if _requests(each)), None)


def decided_in(interrupts: Sequence[Interrupt], decisions: Sequence[Decision]) -> Interrupt | None:
    """Return the interrupt whose calls were decided; of several that wait in any order.

    Where none of them was, the first that asks: its calls are those that still wait.
    """
    ids = {decision.id for decision in decisions}
    asking = [each for each in interrupts if _requests(each)]
    of_these = (each for each in asking if ids & {call.id for call in calls_in([each])})
    return next(of_these, asking[0] if asking else None)


def calls_in(interrupts: Sequence[Interrupt]) -> list[WaitingCall]:
    """Return the calls that wait for approval; a call without an id has its number."""
    asking = approval_in(interrupts)
    return [
        WaitingCall(
            id=str(request.get("id") or number),
            name=str(request.get("name") or ""),
            args=request.get("args") or {},
            description=str(request.get("description") or ""),
        )
        for number, request in enumerate(_requests(asking) if asking else ())
    ]


def answer_with(asking: Interrupt, decisions: Sequence[Decision], flaws: Flaws) -> dict[str, Any]:
    """Put decisions as the graph takes them.

    Raises:
        InvalidInput: they are not one for each call that waits, or an edit does not fit its tool;
            names the calls, and the arguments. All of them still wait.
    """
    calls = calls_in([asking])
    by_id = {decision.id: decision for decision in decisions}
    ids = [call.id for call in calls]
    if unknown := sorted(by_id.keys() - set(ids)):
        raise InvalidInput(
            f"decisions: no call {unknown[0]!r} waits for approval; there wait: {', '.join(ids)}."
        )
    if missing := [call_id for call_id in ids if call_id not in by_id]:
        raise InvalidInput(f"decisions: there is none on the call {missing[0]!r}, which waits too.")
    if len(by_id) < len(decisions):
        raise InvalidInput("decisions: there is more than one on the same call.")
    for call, request in zip(calls, _requests(asking), strict=True):
        args = by_id[call.id].args
        # A graph that gives its calls no ids is not ours, and a tool of the same name neither.
        if args is not None and request.get("id") and (wrong := flaws(call.name, args)):
            raise InvalidInput(
                f"decisions: the arguments of the call {call.id!r} do not fit {call.name}: "
                f"{wrong}. The call still waits."
            )
    return {"decisions": [_put(call, by_id[call.id]) for call in calls]}


def _put(call: WaitingCall, decision: Decision) -> dict[str, Any]:
    put: dict[str, Any] = {"id": call.id, "type": decision.type}
    match decision.type:
        case "edit":
            put["edited_action"] = {"name": call.name, "args": dict(decision.args or {})}
        case "reject":
            put["message"] = decision.message
    return put


def _requests(asking: Interrupt) -> list[Mapping[str, Any]]:
    value = asking.value
    found = value.get("action_requests") if isinstance(value, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        return []
    return found
