"""Whether a model calls tools as they are."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage
from langchain_core.messages.tool import ToolCall
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ValidationError


def misuses(answer: AIMessage, tools: Sequence[BaseTool]) -> bool:
    """Say whether any call names no tool there is, or brings arguments it does not take."""
    by_name = {tool.name: tool for tool in tools}
    return any(not _fits(call, by_name.get(call["name"])) for call in answer.tool_calls)


def _fits(call: ToolCall, tool: BaseTool | None) -> bool:
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
