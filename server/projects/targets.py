"""What `./file.py:name` names, found without importing anything: for `everturn doctor`."""

import ast
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path


def flaw(target: str | None, folder: Path, path: Sequence[Path]) -> str | None:
    """Say why a target cannot be loaded, as far as its text shows; None where nothing is wrong.

    Args:
        target: as the file names it.
        folder: of the project.
        path: where its modules are imported from, before the installed ones.
    """
    if not target or ":" not in target:
        return f"must read './file.py:variable', not {target!r}"
    location, _, variable = target.rpartition(":")
    file = (folder / location) if location.endswith(".py") else _file_of(location, path)
    if file is None or not file.is_file():
        return f"there is no {'file' if location.endswith('.py') else 'module'} {location}"
    try:
        module = _parsed(file)
    except (SyntaxError, ValueError) as error:
        return f"{location} is no Python of this version: {error}"
    names = set(_names(module.body))
    if variable in names or names & {"*", "__getattr__"}:
        return None
    return f"{location} has no {variable!r}"


def not_installed(target: str | None, folder: Path, path: Sequence[Path]) -> list[str]:
    """Name the modules that a target's file, and what it imports of the project, cannot find."""
    location = (target or "").rpartition(":")[0]
    file = (folder / location) if location.endswith(".py") else _file_of(location, path)
    missing: dict[str, None] = {}
    seen: set[Path] = set()
    waiting = [file] if file else []
    while waiting:
        file = waiting.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        try:
            imported = list(_imported(_parsed(file).body))
        except (SyntaxError, ValueError):  # `flaw` says so of the target itself
            continue
        for name in imported:
            if own := _file_in(name, path):
                waiting.append(own)
            elif not _installed(name.partition(".")[0], path):
                missing[name.partition(".")[0]] = None
    return list(missing)


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


def _file_of(module: str, path: Sequence[Path]) -> Path | None:
    """Where a module of one of the folders is, or else where it is installed."""
    if not module:
        return None
    return _file_in(module, path) or _file_in(module, [Path(folder) for folder in sys.path])


def _file_in(module: str, path: Sequence[Path]) -> Path | None:
    for folder in path:
        place = folder.joinpath(*module.split("."))
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


def _installed(name: str, path: Sequence[Path]) -> bool:
    if any((folder / name).is_dir() for folder in path):  # a package without an __init__.py
        return True
    try:
        return find_spec(name) is not None  # of a name without dots: this imports nothing
    except (ImportError, ValueError):
        return False


def _imported(body: Sequence[ast.stmt]) -> Iterator[str]:
    """The modules that a module cannot do without; a guarded import may fail."""
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0 and statement.module:
            yield statement.module


def _names(body: Sequence[ast.stmt]) -> Iterator[str]:
    """What the statements of a module give a name to; `*` where they import everything."""
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (each.asname or each.name.partition(".")[0] for each in names)
            case _:
                yield from _assigned(statement)


def _assigned(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):  # within `if`, `try`, `with` and loops, too
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (each.asname or each.name.partition(".")[0] for each in node.names)
