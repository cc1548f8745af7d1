"""A project: a `langgraph.json`, and what it names, loaded as LangGraph's own tools load it."""

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

import everturn.checkpoints
from everturn.server.errors import ConfigError
from everturn.server.projects.builtin import BUILT_IN
from everturn.server.projects.config import LangGraphJson
from everturn.server.projects.dependencies import folders
from everturn.server.projects.environment import load_env


@dataclass(frozen=True, slots=True)
class Project:
    """A `langgraph.json` that was read, or the built-in graphs where there is none."""

    path: Path | None
    """The file; None for the built-in graphs."""
    config: Mapping[str, Any]
    """As it is written."""
    keys: LangGraphJson
    """The same, checked and typed."""

    @property
    def name(self) -> str:
        """Names it in errors and warnings."""
        return str(self.path) if self.path else "the built-in graphs"

    @property
    def folder(self) -> Path:
        """Where everything that the file names is found from."""
        return self.path.resolve().parent if self.path else Path.cwd()

    def ours(self, key: str) -> bool:
        """Whether a key only says, for LangGraph's own tools, what the service does anyway."""
        path = self.keys.checkpointer and self.keys.checkpointer.path
        if key != "checkpointer.path" or not path:
            return False
        file = (self.folder / path.rpartition(":")[0]).resolve()
        ours = Path(everturn.checkpoints.__file__).with_name("checkpointer.py")  # not imported
        return file == ours.resolve()

    def section(self, name: str) -> Mapping[str, Any]:
        """Return a part of the file; empty where it is missing.

        Raises:
            ConfigError: it is no object.
        """
        found = self.config.get(name)
        if not isinstance(found, dict | None):
            raise ConfigError(f"{self.name}: `{name}` must be a JSON object.")
        return found or {}

    def load(self, target: object, key: str) -> Any:
        """Import what `./file.py:name` or `package.module:name` names.

        Raises:
            ConfigError: naming the file, the key and the reason.
        """
        where = f"{self.name}: {key}"
        if not isinstance(target, str) or ":" not in target:
            raise ConfigError(f"{where}: must read './file.py:variable', not {target!r}.")
        location, _, variable = target.rpartition(":")
        try:
            module = _import(location, self.folder)
        except FileNotFoundError:
            raise ConfigError(f"{where}: there is no file {location}.") from None
        except ModuleNotFoundError as error:
            advice = f"install what holds {error.name} where Everturn is installed"
            raise ConfigError(
                f"{where}: {location} cannot be imported: {error}: {advice}."
            ) from error
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ConfigError(f"{where}: {location} cannot be imported: {reason}") from error
        if not hasattr(module, variable):
            raise ConfigError(f"{where}: {location} has no {variable!r}.")
        return getattr(module, variable)


def read_project(path: Path, *, named: bool = True) -> Project:
    """Read a `langgraph.json`. Nothing is imported, and no environment changed.

    Args:
        path: the file.
        named: whether somebody named it; one that nobody named may be missing, and then the
            built-in graphs are the project.

    Raises:
        ConfigError: naming the file, the key and the reason.
    """
    if not named and not path.exists():
        return Project(None, BUILT_IN, LangGraphJson.model_validate(BUILT_IN))
    config = _read(path)
    try:
        return Project(path, config, LangGraphJson.model_validate(config))
    except ValidationError as error:
        raise ConfigError(f"{path}: {_flaw(error)}.") from None


_IN_WORDS = {
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "missing": "is missing",
}
"""By pydantic's names of what can be wrong, without the names of our types."""


def _flaw(error: ValidationError) -> str:
    """Name the first key that is wrong, and what it must be."""
    first = error.errors(include_url=False, include_input=False)[0]
    # Where a key may be of several types, pydantic names the one it tried: `list[str]`.
    where = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
    reason = _IN_WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
    return f"{where}: {reason}"


def prepare(project: Project) -> None:
    """Put a project's `dependencies` on the path, and set its `env`.

    Raises:
        ConfigError: naming the file, the key and the reason.
    """
    for folder in folders(project.folder, project.keys.dependencies, project.name):
        _add_to_path(folder)
    load_env(project.config.get("env"), project.folder, project.name)


def load_project(path: Path) -> Project:
    """Read a `langgraph.json` and prepare what it needs; see `read_project` and `prepare`."""
    project = read_project(path)
    prepare(project)
    return project


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file. Name one with --config or EVERTURN_CONFIG."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid JSON: {error}.") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: must be a JSON object.")
    return config


def _add_to_path(folder: Path) -> None:
    if str(folder.resolve()) not in sys.path:
        sys.path.insert(0, str(folder.resolve()))


def _import(location: str, folder: Path) -> ModuleType:
    """Import a file under its dotted name where it has one, so that it is loaded only once."""
    if not location.endswith(".py"):
        return import_module(location)
    file = (folder / location).resolve()
    if not file.is_file():
        raise FileNotFoundError(location)
    if file.is_relative_to(folder):
        dotted = ".".join(file.relative_to(folder).with_suffix("").parts)
        spec = _find(dotted)
        if spec and spec.origin and Path(spec.origin).resolve() == file:
            return import_module(dotted)
    # The same in every process: checkpoints name types by their module.
    name = f"{file.stem}_{blake2b(os.fsencode(file), digest_size=6).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{location} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _find(dotted: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(dotted)
    except (ImportError, ValueError):
        return None
