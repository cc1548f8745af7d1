"""What is wrong with the arguments of a call, beside what a tool finds out by itself."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool
from langchain_core.tools.base import get_all_basemodel_annotations
from pydantic import BaseModel, ValidationError

from everturn.tools.kit.results import named


def flaws(call: ToolCall, tool: BaseTool) -> str | None:
    """Say what is wrong with the arguments of a call, by what the model is shown of the tool."""
    schema = tool.tool_call_schema  # without what LangGraph injects
    if isinstance(schema, dict):  # of a remote tool: JSON Schema
        missing = [name for name in _required(schema) if name not in call["args"]]
        return "; ".join(f"{name}: Field required" for name in missing) or None
    if not issubclass(schema, BaseModel):
        return None  # pydantic 1: the tool itself will say
    try:
        schema.model_validate(call["args"])
    except ValidationError as error:
        return named(error.errors(include_url=False, include_input=False, include_context=False))
    return unknown_arguments(call["args"], tool)


def unknown_arguments(args: Mapping[str, Any], tool: BaseTool) -> str | None:
    """Name the arguments that a tool does not have, and then those it lacks; `None` for none.

    Pydantic ignores them in silence, so that a tool would do something else than was meant.
    A tool described by JSON Schema takes any, unless its own server refuses them. Those that
    LangGraph injects are passed over: it puts its own in their place.
    """
    schema = tool.tool_call_schema
    if not isinstance(schema, type) or not issubclass(schema, BaseModel):
        return None
    known = schema.model_fields
    if args.keys() <= known.keys():
        return None
    every = tool.get_input_schema()
    if getattr(every, "model_config", {}).get("extra") == "allow":
        return None
    injected = get_all_basemodel_annotations(every)
    unknown = [name for name in args if name not in known and name not in injected]
    if not unknown:
        return None
    there_are = ", ".join(known) or "none"
    lacking = [n for n, field in known.items() if field.is_required() and n not in args]
    return "; ".join(
        [f"{name}: Field required" for name in lacking]
        + [f"{name}: There is no such argument; there are: {there_are}" for name in unknown]
    )


def _required(schema: Mapping[str, Any]) -> list[Any]:
    found = schema.get("required")
    return found if isinstance(found, list) else []
