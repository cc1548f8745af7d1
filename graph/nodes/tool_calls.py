"""Whether a model calls tools as they are."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage
from langchain_core.messages.tool import ToolCall
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ValidationError


def misuses(answer: AIMessage, tools: Sequence[BaseTool]) -> bool:
    """Say whether any call is malformed, names no tool there is, or brings wrong arguments."""
    by_name = {tool.name: tool for tool in tools}
    wrong = (not fits(call, by_name.get(call["name"])) for call in answer.tool_calls)
    return bool(answer.invalid_tool_calls) or any(wrong)


def fits(call: ToolCall, tool: BaseTool | None) -> bool:
    """Say whether a tool takes the arguments of a call; no tool takes any."""
    if tool is None:
        return False
    schema = tool.tool_call_schema  # without what LangGraph injects
    if isinstance(schema, dict):  # of a remote tool: JSON Schema
        return all(name in call["args"] for name in schema.get("required", ()))
    if not issubclass(schema, BaseModel):
        return True  # pydantic 1: the tool itself will say
    try:
        schema.model_validate(call["args"])
    except ValidationError:
        return False
    return True
