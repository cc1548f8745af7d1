"""Whether a model calls tools as they are."""

from collections.abc import Sequence
from uuid import uuid4

from langchain_core.messages import AIMessage
from langchain_core.messages.tool import ToolCall
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ValidationError

from tools.kit.results import named


def misuses(answer: AIMessage, tools: Sequence[BaseTool]) -> bool:
    """Say whether any call is malformed, names no tool there is, or brings wrong arguments."""
    by_name = {tool.name: tool for tool in tools}
    wrong = (_misfits(call, by_name.get(call["name"])) for call in answer.tool_calls)
    return bool(answer.invalid_tool_calls) or any(wrong)


def flaws(call: ToolCall, tool: BaseTool) -> str | None:
    """Say what is wrong with the arguments of a call, by what the model was told of the tool."""
    schema = tool.tool_call_schema  # without what LangGraph injects
    if isinstance(schema, dict):  # of a remote tool: JSON Schema
        missing = [name for name in schema.get("required", ()) if name not in call["args"]]
        return "; ".join(f"{name}: Field required" for name in missing) or None
    if not issubclass(schema, BaseModel):
        return None  # pydantic 1: the tool itself will say
    try:
        schema.model_validate(call["args"])
    except ValidationError as error:
        return named(error.errors(include_url=False, include_input=False, include_context=False))
    return None


def give_ids(answer: AIMessage) -> None:
    """Give each call an id of its own: some providers send none, or the same one for all."""
    known: set[str] = set()
    for call in (*answer.tool_calls, *answer.invalid_tool_calls):
        call_id = call["id"]
        if not call_id or call_id in known:
            call["id"] = call_id = f"call_{uuid4().hex[:24]}"
        known.add(call_id)


def _misfits(call: ToolCall, tool: BaseTool | None) -> bool:
    return tool is None or flaws(call, tool) is not None
