"""The graphs that `langgraph.json` names, with the memory that they are given."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast, get_type_hints

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk.runtime import AccessContext
from pydantic import (
    BaseModel,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from everturn.server.errors import ConfigError, GraphNotFound, InvalidInput
from everturn.server.projects.factories import Factory, Graph, compiled, runtime_of
from everturn.server.projects.project import Project

__all__ = ["Graph", "Graphs", "load_graphs"]


class Graphs:
    """The served graphs by name.

    Some are there once and for all, others are made for each use by a factory. `open` serves both;
    it costs nothing for the former.
    """

    def __init__(
        self, sources: Mapping[str, Graph | Factory], descriptions: Mapping[str, str] | None = None
    ) -> None:
        self._sources = dict(sources)
        self._descriptions = dict(descriptions or {})
        self._given: dict[str, Any] = {}
        fixed = {name: graph for name, graph in sources.items() if isinstance(graph, Pregel)}
        self._open = {name: _Open(graph) for name, graph in fixed.items()}
        schemas = {
            name: graph.context_schema
            for name, graph in fixed.items()
            if graph.context_schema is not None
        }
        self._fields = {name: _fields_of(schema) for name, schema in schemas.items()}
        self._contexts = {name: _adapter_of(schema) for name, schema in schemas.items()}

    @property
    def names(self) -> list[str]:
        """The names of `langgraph.json`, in its order."""
        return list(self._sources)

    def description(self, name: str) -> str | None:
        """Return what `langgraph.json` says of a graph."""
        return self._descriptions.get(name)

    def with_memory(self, checkpointer: BaseCheckpointSaver[Any], store: BaseStore) -> "Graphs":
        """Lend each graph a checkpointer and a store, also those that are still to be made.

        The graphs themselves stay as they were, and their own checkpointer and store unused.
        """
        given = {"checkpointer": checkpointer, "store": store}
        sources = {
            name: source.copy(given) if isinstance(source, Pregel) else source
            for name, source in self._sources.items()
        }
        graphs = Graphs(sources, self._descriptions)
        graphs._given = given
        return graphs

    def __getitem__(self, name: str) -> Graph:
        """Return a graph that is there without being made.

        Raises:
            GraphNotFound: naming those there are.
            LookupError: a factory makes it, so that it must be opened.
        """
        graph = self.fixed(name)
        if graph is None:
            raise LookupError(f"The graph {name!r} is made by a factory: open it.")
        return graph

    def fixed(self, name: str) -> Graph | None:
        """Return a graph; `None` where a factory makes it.

        Raises:
            GraphNotFound: naming those there are.
        """
        source = self._source(name)
        return source if isinstance(source, Pregel) else None

    def open(
        self,
        name: str,
        config: RunnableConfig | None = None,
        *,
        access: AccessContext = "threads.create_run",
        context: Any = None,
    ) -> AbstractAsyncContextManager[Graph]:
        """Have a graph for as long as the context lasts, with the memory that was given.

        Args:
            name: which graph.
            config: of the run, for a factory that takes it.
            access: what it is wanted for, for a factory that takes a runtime.
            context: of the run, as the client sent it, for the same.

        Raises:
            GraphNotFound: at once; names those there are.
            ConfigError: on entering: the factory made no graph.
            Exception: on entering: whatever the factory raises.
        """
        source = self._source(name)
        if isinstance(source, Pregel):
            return self._open[name]
        return self._made(source, config, access, context)

    @asynccontextmanager
    async def _made(
        self, factory: Factory, config: RunnableConfig | None, access: AccessContext, context: Any
    ) -> AsyncIterator[Graph]:
        given: RunnableConfig = {"configurable": {}, "metadata": {}, "tags": [], **(config or {})}
        runtime = runtime_of(access, self._given["store"], context)
        async with factory.open(given, runtime) as graph:
            yield graph.copy(self._given)

    def _source(self, name: str) -> Graph | Factory:
        try:
            return self._sources[name]
        except KeyError:
            there_are = ", ".join(self._sources)
            raise GraphNotFound(
                f"The graph {name!r} was not found; there are: {there_are}."
            ) from None

    def context_fields(self, name: str) -> frozenset[str]:
        """Return the names that a graph's context takes; empty for a graph that takes none.

        Raises:
            GraphNotFound: naming those there are.
        """
        self._source(name)
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


class _Open(AbstractAsyncContextManager[Graph]):
    """A graph that need not be made: to open it any number of times costs nothing."""

    __slots__ = ("_graph",)

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def __aenter__(self) -> Graph:
        return self._graph

    async def __aexit__(self, *_: object) -> None:
        return None


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


def load_graphs(project: Project) -> Graphs:
    """Load every graph of a project: compiled graphs, builders, and factories, uncalled.

    Raises:
        ConfigError: naming the file, the key and the reason.
    """
    entries = project.section("graphs")
    if not entries:
        raise ConfigError(
            f"{project.path}: `graphs` must map names to graphs, as in "
            '{"graphs": {"agent": "./graph/agent.py:graph"}}.'
        )
    sources: dict[str, Graph | Factory] = {}
    descriptions = {}
    for name, entry in entries.items():
        target = entry.get("path") if isinstance(entry, dict) else entry
        description = entry.get("description") if isinstance(entry, dict) else None
        if isinstance(description, str):
            descriptions[name] = description
        key = f"graphs.{name}"
        loaded = project.load(target, key)
        where = f"{project.path}: {key}: {str(target).rpartition(':')[2]!r}"
        is_graph = isinstance(loaded, Pregel | StateGraph) or not callable(loaded)
        make = cast("Callable[..., Any]", loaded)
        sources[name] = compiled(loaded, where) if is_graph else Factory(make, where)
    return Graphs(sources, descriptions)
