"""The tool calls of an answer: read strictly, and whether they can be made."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, InvalidToolCall
from langchain_core.messages.tool import ToolCall, invalid_tool_call, tool_call
from langchain_core.tools import BaseTool

from everturn.graph.models.answer import PROVIDER_FIELDS
from everturn.graph.models.arguments import read
from everturn.graph.models.calls import new_call_id
from everturn.tools.kit.arguments import flaws
from everturn.tools.kit.toolbox import Offer
from everturn.tools.kit.values import flaw_in, plain

_MAX_NAME = 200
_MAX_ID = 65_536
"""Characters. LiteLLM writes a model's signature, kilobytes of it, into the id of a call."""


Written = Mapping[str, Any]
"""A tool call as OpenAI writes it: an id, and a function's name and arguments, which are text."""


def take_in(answer: AIMessage, written: Sequence[Written] | None, offer: Offer) -> None:
    """Give an answer its tool calls as its model has `written` them, under the tools' real names.

    What LangChain made of the text is not used: it completes what was cut, and keeps what no
    store can. A call that cannot be made becomes one of the `invalid_tool_calls`, which says
    in `error` what is wrong; its arguments are then only to be shown. `written` is `None` for a
    model of our own, which writes no text.

    The thread holds real names. Requests hold the offered ones, which follow from these.
    """
    written = list(map(_written, answer.tool_calls)) if written is None else written
    answer.tool_calls, answer.invalid_tool_calls = [], []
    for call in written:
        name, call_id = call["function"]["name"], call["id"]
        name = offer.real_names.get(name, plain(name)[:_MAX_NAME])
        args, flaw = read(call["function"]["arguments"])
        if flaw is None:
            answer.tool_calls.append(tool_call(name=name, args=args, id=call_id))
        else:
            shown = json.dumps(plain(args))
            answer.invalid_tool_calls.append(
                invalid_tool_call(name=name, args=shown, id=call_id, error=flaw)
            )


def _written(call: ToolCall) -> Written:
    function = {"name": call["name"], "arguments": json.dumps(call["args"])}
    return {"id": call["id"], "function": function}


def misuses(answer: AIMessage, tools: Sequence[BaseTool]) -> bool:
    """Say whether any call is malformed, names no tool there is, or brings wrong arguments."""
    by_name = {tool.name: tool for tool in tools}
    wrong = (_misfits(call, by_name.get(call["name"])) for call in answer.tool_calls)
    return bool(answer.invalid_tool_calls) or any(wrong)


def give_ids(answer: AIMessage, before: Iterable[AnyMessage] = ()) -> None:
    """Give each call an id that no other call of the thread has.

    Some providers send none, the same one for all, or begin to count anew with each answer; some
    refuse a history in which two calls share one.
    """
    known = {call["id"] for each in before if isinstance(each, AIMessage) for call in _calls(each)}
    for call in _calls(answer):
        call_id = call["id"]
        if not call_id or call_id in known or len(call_id) > _MAX_ID or flaw_in(call_id):
            call["id"] = new = new_call_id()
            _move(answer, call_id, new)
        known.add(call["id"])


def _calls(message: AIMessage) -> list[ToolCall | InvalidToolCall]:
    return [*message.tool_calls, *message.invalid_tool_calls]


def _move(answer: AIMessage, call_id: str | None, new: str) -> None:
    """Keep what the provider wants back with a call under the call's new id."""
    extras = answer.additional_kwargs.get(PROVIDER_FIELDS, {}).get("tool_calls", {})
    if call_id in extras:
        extras[new] = extras.pop(call_id)


def _misfits(call: ToolCall, tool: BaseTool | None) -> bool:
    return tool is None or flaws(call, tool) is not None
