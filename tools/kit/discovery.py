"""Finds the tools: every LangChain tool that a public module of a package or folder defines.

One bad file costs its own tools and nothing else: it is named in `problems`, the rest is served.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from langchain_core.tools import BaseTool

from everturn.tools.kit.offered import offered_name, offered_schema
from everturn.tools.kit.values import flaw_in

_MAX_NAME = 200
_MAX_SCHEMA = 65_536
"""Characters of JSON: it goes into every prompt."""
_MAX_REASON = 300


class UnknownTool(LookupError):
    """No tool has this name; the message names those that there are."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no tool {name!r}; there are {', '.join(known) or 'none'}")


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


def discover(*packages: str, folders: Sequence[Path] = ()) -> Discovery:
    """Return the tools in the modules directly inside `packages` and `folders`, sorted by name.

    Subpackages and modules whose name begins with an underscore are passed over. Files are read
    in the order of their names, and of two tools with one name the first is served. The modules
    of a folder may import each other relatively, as those of a package do.
    """
    found = Discovery()
    for package in packages:
        for place in import_module(package).__path__:
            _add_folder(package, Path(place), found)
    for folder in folders:
        path = folder.expanduser().resolve()
        if not path.is_dir():
            found.problems.append(Problem(folder, "there is no such folder"))
            continue
        try:
            package = _package_of(path)
        except (Exception, SystemExit) as error:
            found.problems.append(Problem(path / "__init__.py", f"{type(error).__name__}: {error}"))
            continue
        _add_folder(package, path, found)
    found.tools = dict(sorted(found.tools.items()))
    return found


def objection(tool: BaseTool) -> str | None:
    """Say why no model could be offered a tool; `None` where one can."""
    if not tool.name or len(tool.name) > _MAX_NAME or flaw_in(tool.name):
        return f"the name {tool.name[:_MAX_NAME]!r} is empty, too long or cannot be written"
    try:
        size = len(json.dumps(offered_schema(tool)))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:_MAX_REASON]
        return f"the tool {tool.name!r} has no schema: {reason}"
    if size > _MAX_SCHEMA:
        return f"the schema of the tool {tool.name!r} has more than {_MAX_SCHEMA} characters"
    return None


def _package_of(folder: Path) -> str:
    """Make a folder a package under a name of its own, the same in every process."""
    name = f"tools_of_{blake2b(str(folder).encode(), digest_size=6).hexdigest()}"
    if name in sys.modules:
        return name
    init = folder / "__init__.py"
    places = [str(folder)]
    spec = (
        spec_from_file_location(name, init, submodule_search_locations=places)
        if init.is_file()
        else ModuleSpec(name, None, is_package=True)
    )
    if spec is None:
        raise ImportError(f"{init} is not a Python file")
    spec.submodule_search_locations = places
    module = sys.modules[name] = module_from_spec(spec)
    if spec.loader:
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return name


def _add_folder(package: str, folder: Path, found: Discovery) -> None:
    for file in sorted(folder.glob("[!_]*.py")):
        _add(f"{package}.{file.stem}", file, found)


def _add(module: str, file: Path, found: Discovery) -> None:
    try:
        tools = list(_tools_in(import_module(module)))
    except (Exception, SystemExit) as error:  # a user's file may even try to leave
        found.problems.append(Problem(file, f"{type(error).__name__}: {error}"))
        return
    for tool in tools:
        if found.tools.get(tool.name) is tool:
            continue  # imported by this module from the one that defines it
        if other := _file_of(offered_name(tool.name), found):
            found.problems.append(Problem(file, f"the name {tool.name!r} is taken by {other}"))
        elif reason := objection(tool):
            found.problems.append(Problem(file, reason))
        else:
            found.tools[tool.name] = tool
            found.origins[tool.name] = file


def _file_of(name: str, found: Discovery) -> Path | None:
    return next((file for each, file in found.origins.items() if offered_name(each) == name), None)


def _tools_in(module: ModuleType) -> Iterator[BaseTool]:
    for name, value in vars(module).items():
        if isinstance(value, BaseTool) and not name.startswith("_"):
            yield value
