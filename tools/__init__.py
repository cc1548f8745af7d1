"""What the agent can do in the world, one tool a file.

Put a typed, documented function under LangChain's own `@tool` in a new file here, or in a folder
that `EVERTURN_TOOL_PATHS` names: it is found, sorted by name and offered to the model. How any
tool is run is in `kit`; what ours ask is in `providers`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # half a second that `import everturn.tools` alone need not cost
    from collections.abc import Sequence
    from pathlib import Path

    from langchain_core.tools import BaseTool

    from everturn.tools.kit.discovery import Discovery, UnknownTool

__all__ = ["UnknownTool", "find_tools", "get_tool", "load_tools", "tool_schemas"]


def find_tools(folders: Sequence[Path] | None = None) -> Discovery:
    """Return every tool of this folder and of `folders`, sorted by name, and where each is from.

    Files are read once a process. That blocks: beside an event loop, call it in a thread. A broken
    module, the second of two tools with one name and a folder that is not there are logged as
    `tool_left_out`, with file and reason.

    Args:
        folders: where more tools are; `None` are those of the settings.
    """
    if folders is None:
        from everturn.tools.kit.settings import ToolSettings

        folders = ToolSettings().tool_paths
    return _found(tuple(folders))


def load_tools() -> list[BaseTool]:
    """Return every tool of `find_tools`, sorted by name."""
    return list(find_tools().tools.values())


def get_tool(name: str) -> BaseTool:
    """Return the tool called `name`, or raise UnknownTool."""
    from everturn.tools.kit.discovery import UnknownTool

    tools = find_tools().tools
    if name not in tools:
        raise UnknownTool(name, tools)
    return tools[name]


def tool_schemas() -> list[dict[str, Any]]:
    """Return what a model is shown of each tool: OpenAI's `{"type": "function", "function": …}`."""
    from everturn.tools.kit.offered import offered_schema

    return [offered_schema(tool) for tool in load_tools()]


def __getattr__(name: str) -> Any:
    """Import `UnknownTool` at its first use: its module costs what the note above says."""
    if name == "UnknownTool":
        from everturn.tools.kit.discovery import UnknownTool

        return UnknownTool
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _found(folders: tuple[Path, ...]) -> Discovery:
    from structlog import get_logger

    from everturn.tools.kit.discovery import discover

    found = discover(__name__, folders=folders)
    for problem in found.problems:
        get_logger(__name__).warning("tool_left_out", file=str(problem.file), reason=problem.reason)
    return found
