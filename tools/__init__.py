"""What the agent can do in the world, one tool a file.

Put a typed, documented function under LangChain's own `@tool` in a new file here: it is found,
sorted by name and offered to the model. What the tools stand on is in `kit`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # half a second that `import tools` alone need not cost
    from langchain_core.tools import BaseTool

__all__ = ["UnknownTool", "get_tool", "load_tools", "tool_schemas"]


class UnknownTool(LookupError):
    """No tool has the name asked for; the message names those that there are."""


def load_tools() -> list[BaseTool]:
    """Return every tool of this folder, sorted by name; the folder is read once a process.

    A broken module and the second of two tools with one name are logged as `tool_left_out`, with
    file and reason.
    """
    return list(_tools().values())


def get_tool(name: str) -> BaseTool:
    """Return the tool called `name`, or raise UnknownTool."""
    try:
        return _tools()[name]
    except KeyError:
        known = ", ".join(_tools())
        raise UnknownTool(f"there is no tool {name!r}; there are {known}") from None


def tool_schemas() -> list[dict[str, Any]]:
    """Return what a model is told of each tool: OpenAI's `{"type": "function", "function": …}`."""
    from langchain_core.utils.function_calling import convert_to_openai_tool

    return [convert_to_openai_tool(tool) for tool in load_tools()]


@cache
def _tools() -> dict[str, BaseTool]:
    from structlog import get_logger

    from tools.kit.discovery import discover

    found = discover(__name__)
    for problem in found.problems:
        get_logger(__name__).warning("tool_left_out", file=str(problem.file), reason=problem.reason)
    return found.tools
