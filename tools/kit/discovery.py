"""Finds the tools: every LangChain tool that a public module of a package defines.

One bad file costs its own tools and nothing else: it is named in `problems`, the rest is served.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

# What OpenAI allows as a function's name; one other name and it refuses the whole request.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Problem:
    """A file whose tools, or one of whose tools, cannot be served, and the reason."""

    file: Path
    reason: str


@dataclass(slots=True)
class Discovery:
    """The tools found, by name; the file each came from; and what had to be left out."""

    tools: dict[str, BaseTool] = field(default_factory=dict)
    origins: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def discover(*packages: str) -> Discovery:
    """Return the tools in the modules directly inside `packages`, in the order of their names.

    Subpackages and modules whose name begins with an underscore are passed over. Files are read
    in the order of their names, and of two tools with one name the first is served.
    """
    found = Discovery()
    for package in packages:
        for folder in import_module(package).__path__:
            for file in sorted(Path(folder).glob("[!_]*.py")):
                _add(f"{package}.{file.stem}", file, found)
    found.tools = dict(sorted(found.tools.items()))
    return found


def _add(module: str, file: Path, found: Discovery) -> None:
    try:
        tools = list(_tools_in(import_module(module)))
    except (Exception, SystemExit) as error:  # a user's file may even try to leave
        found.problems.append(Problem(file, f"{type(error).__name__}: {error}"))
        return
    for tool in tools:
        if found.tools.get(tool.name) is tool:
            continue  # imported by this module from the one that defines it
        if objection := _objection(tool, found):
            found.problems.append(Problem(file, objection))
        else:
            found.tools[tool.name] = tool
            found.origins[tool.name] = file


def _tools_in(module: ModuleType) -> Iterator[BaseTool]:
    for name, value in vars(module).items():
        if isinstance(value, BaseTool) and not name.startswith("_"):
            yield value


def _objection(tool: BaseTool, found: Discovery) -> str | None:
    if not _NAME.fullmatch(tool.name):
        return f"the name {tool.name!r} is not 1 to 64 letters, digits, '_' and '-'"
    if other := found.origins.get(tool.name):
        return f"the name {tool.name!r} is taken by {other}"
    try:
        convert_to_openai_tool(tool)
    except Exception as error:
        return f"the tool {tool.name!r} has no schema: {type(error).__name__}: {error}"
    return None
