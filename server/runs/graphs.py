"""The graphs that `langgraph.json` names, loaded as LangGraph's own tools load them."""

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from hashlib import blake2b
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from dotenv import dotenv_values
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from pydantic import (
    BaseModel,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from server.runs.errors import ConfigError, GraphNotFound, InvalidInput

Graph = Pregel[Any, Any, Any, Any]


class Graphs:
    """The served graphs by name."""

    def __init__(self, graphs: Mapping[str, Graph]) -> None:
        self._graphs = dict(graphs)
        schemas = {
            name: graph.context_schema
            for name, graph in graphs.items()
            if graph.context_schema is not None
        }
        self._fields = {name: _fields_of(schema) for name, schema in schemas.items()}
        self._contexts = {name: _adapter_of(schema) for name, schema in schemas.items()}

    @property
    def names(self) -> list[str]:
        """The names of `langgraph.json`, in its order."""
        return list(self._graphs)

    def with_memory(self, checkpointer: BaseCheckpointSaver[Any]) -> "Graphs":
        """Lend each graph a checkpointer; the graphs themselves stay as they were."""
        lent = {"checkpointer": checkpointer}
        return Graphs({name: graph.copy(lent) for name, graph in self._graphs.items()})

    def __getitem__(self, name: str) -> Graph:
        """Return a graph.

        Raises:
            GraphNotFound: naming those there are.
        """
        try:
            return self._graphs[name]
        except KeyError:
            there_are = ", ".join(self._graphs)
            raise GraphNotFound(f"There is no graph {name!r}; there are: {there_are}.") from None

    def context_fields(self, name: str) -> frozenset[str]:
        """Return the names that a graph's context takes; empty for a graph that takes none.

        Raises:
            GraphNotFound: naming those there are.
        """
        _ = self[name]
        return self._fields.get(name, frozenset())

    def context(self, name: str, values: Mapping[str, Any]) -> Any:
        """Return a context in the graph's own type; `None` where it takes none and gets none.

        Raises:
            InvalidInput: naming the field that does not fit.
        """
        adapter = self._contexts.get(name)
        if adapter is None:
            return dict(values) or None
        try:
            return adapter.validate_python(dict(values))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(key) for key in first["loc"])
            raise InvalidInput(f"context.{where}: {first['msg']}") from None


def _fields_of(schema: type[Any]) -> frozenset[str]:
    if issubclass(schema, BaseModel):
        return frozenset(schema.model_fields)
    return frozenset(get_type_hints(schema))


def _adapter_of(schema: type[Any]) -> TypeAdapter[Any] | None:
    """Make what validates a context; `None` for types that only their graph understands."""
    try:
        return TypeAdapter(schema)
    except (PydanticUserError, PydanticSchemaGenerationError):  # `typing.TypedDict` before 3.12
        return None


def load_graphs(path: Path) -> Graphs:
    """Load every graph of a `langgraph.json`; graphs and `dependencies` are found from its folder.

    Raises:
        ConfigError: naming the file, the key and the reason.
    """
    config = _read(path)
    folder = path.resolve().parent
    dependencies = config.get("dependencies", ["."])
    if not isinstance(dependencies, list) or not all(isinstance(d, str) for d in dependencies):
        raise ConfigError(f"{path}: `dependencies` must be a list of folders and packages.")
    for dependency in (".", *dependencies):
        _add_to_path(folder / dependency)

    _load_env(config.get("env"), folder, path)

    graphs = config.get("graphs")
    if not isinstance(graphs, dict) or not graphs:
        raise ConfigError(
            f"{path}: `graphs` must map names to graphs, as in "
            '{"graphs": {"agent": "./graph/agent.py:graph"}}.'
        )
    return Graphs(
        {name: _load(entry, folder, f"{path}: graphs.{name}") for name, entry in graphs.items()}
    )


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


def _load_env(env: object, folder: Path, path: Path) -> None:
    """Set the environment that the graphs expect; what is set already stays."""
    if isinstance(env, str):
        values: Mapping[str, Any] = dotenv_values(folder / env)
    elif isinstance(env, dict):
        values = env
    elif env is None:
        return
    else:
        raise ConfigError(f"{path}: `env` must name a file or map names to values.")
    for name, value in values.items():
        if value is not None:
            os.environ.setdefault(name, str(value))


def _add_to_path(folder: Path) -> None:
    if folder.is_dir() and str(folder.resolve()) not in sys.path:
        sys.path.insert(0, str(folder.resolve()))


def _load(entry: object, folder: Path, where: str) -> Graph:
    target = entry.get("path") if isinstance(entry, dict) else entry
    if not isinstance(target, str) or ":" not in target:
        raise ConfigError(f"{where}: must read './file.py:variable', not {target!r}.")
    location, _, variable = target.rpartition(":")
    try:
        module = _import(location, folder)
    except FileNotFoundError:
        raise ConfigError(f"{where}: there is no file {location}.") from None
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{where}: {location} cannot be imported: {reason}") from error
    if not hasattr(module, variable):
        raise ConfigError(f"{where}: {location} has no {variable!r}.")
    graph = getattr(module, variable)
    if isinstance(graph, StateGraph):
        graph = graph.compile()
    if not isinstance(graph, Pregel):
        raise ConfigError(
            f"{where}: {variable!r} is a {type(graph).__name__}, not a LangGraph graph."
        )
    return graph


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
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{location} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _find(dotted: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(dotted)
    except (ImportError, ValueError):
        return None
