"""The graphs that `langgraph.json` names, with the memory that they are given."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk.runtime import AccessContext

from everturn.server.access.caller import caller_config, current_caller
from everturn.server.errors import ConfigError, GraphNotFound, InvalidInput
from everturn.server.projects.contexts import ContextType
from everturn.server.projects.factories import Factory, Graph, compiled, runtime_of
from everturn.server.projects.project import Project

__all__ = ["Graph", "Graphs", "load_graphs"]


_DEFAULT = "agent"


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
        self._contexts = {name: ContextType(graph.context_schema) for name, graph in fixed.items()}

    @property
    def names(self) -> list[str]:
        """The names of `langgraph.json`, in its order."""
        return list(self._sources)

    def chosen(self, name: str | None, field: str) -> str:
        """Return the graph that a client means; without a name the default.

        The default is `agent`, or the only graph that is served.

        Raises:
            InvalidInput: no name was given and there is no default; starts with the `field`.
        """
        if name is not None:
            return name
        if _DEFAULT not in self._sources and len(self._sources) > 1:
            there_are = ", ".join(self._sources)
            raise InvalidInput(
                f"{field}: say which graph should answer; there are: {there_are}. "
                f"Without a name only a graph called {_DEFAULT!r}, or the only one, answers."
            )
        return _DEFAULT if _DEFAULT in self._sources else next(iter(self._sources))

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
        given: RunnableConfig = {"metadata": {}, "tags": [], **(config or {})}
        configurable = (config or {}).get("configurable", {})
        given["configurable"] = {**configurable, **caller_config(current_caller())}
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
        known = self._contexts.get(name)
        return known.fields if known else frozenset()

    def context(self, name: str, values: Mapping[str, Any]) -> Any:
        """Return a context in the graph's own type; see `contexts`.

        What a graph takes that a factory makes is known when it is made: until then its context
        is a dict, and then `context_of` makes it.

        Raises:
            InvalidInput: naming the field that does not fit.
        """
        known = self._contexts.get(name)
        return known.make(values) if known else dict(values)

    def context_of(self, name: str, graph: Graph, context: Any) -> Any:
        """Return what `context` returned, in the type of a graph that was made since.

        Raises:
            InvalidInput: naming the field that does not fit.
        """
        if name in self._contexts:
            return context
        return ContextType(graph.context_schema).make(context)


class _Open(AbstractAsyncContextManager[Graph]):
    """A graph that need not be made: to open it any number of times costs nothing."""

    __slots__ = ("_graph",)

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def __aenter__(self) -> Graph:
        return self._graph

    async def __aexit__(self, *_: object) -> None:
        return None


def load_graphs(project: Project) -> Graphs:
    """Load every graph of a project: compiled graphs, builders, and factories, uncalled.

    Raises:
        ConfigError: naming the file, the key and the reason.
    """
    entries = project.keys.graphs
    if not entries:
        raise ConfigError(
            f"{project.name}: `graphs` must map names to graphs, as in "
            '{"graphs": {"agent": "./graph/agent.py:graph"}}.'
        )
    sources: dict[str, Graph | Factory] = {}
    descriptions = {}
    for name, entry in entries.items():
        target, key = entry.path, f"graphs.{name}"
        if entry.description is not None:
            descriptions[name] = entry.description
        loaded = project.load(target, key)
        where = f"{project.name}: {key}: {str(target).rpartition(':')[2]!r}"
        is_graph = isinstance(loaded, Pregel | StateGraph) or not callable(loaded)
        make = cast("Callable[..., Any]", loaded)
        sources[name] = compiled(loaded, where) if is_graph else Factory(make, where)
    return Graphs(sources, descriptions)
