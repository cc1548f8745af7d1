"""What a graph says of itself: its drawing, its schemas and its subgraphs.

Graphs stay as they are while they are served, so each answer is drawn up once and kept. What a
factory makes depends on the assistant that it is made for, and is looked at each time.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, cast, get_type_hints

from langchain_core.runnables import RunnableConfig
from langgraph.channels.base import BaseChannel
from langgraph.pregel import Pregel
from pydantic import BaseModel, Field, TypeAdapter, create_model
from structlog import get_logger

from everturn.server.errors import InvalidInput
from everturn.server.projects.graphs import Graph, Graphs

log = get_logger(__name__)

Config = Mapping[str, Any] | None
"""LangGraph's run config, as an assistant has it."""

JsonSchema = dict[str, Any]
Schemas = dict[str, JsonSchema | None]
"""Of input, output, state, config and context; `None` where a type has no JSON schema."""

_MAX_DEPTH = 100
_KINDS = ("input_schema", "output_schema", "state_schema", "config_schema", "context_schema")
_SEPARATOR = "|"


class Introspection:
    """Answers for all graphs. Every method raises GraphNotFound for a name that is none."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._drawings: dict[tuple[str, bool, int], dict[str, Any]] = {}
        self._schemas: dict[str, Schemas] = {}
        self._subgraphs: dict[str, dict[str, Schemas]] = {}

    async def drawing(
        self, name: str, xray: bool | int = False, *, config: Config = None
    ) -> dict[str, Any]:
        """Return nodes and edges; with `xray` those of subgraphs in their place.

        Args:
            name: of a graph.
            xray: all subgraphs, or those down to a depth.
            config: the assistant's, for a factory.

        Raises:
            InvalidInput: the graph or a subgraph cannot be drawn; the log says why.
        """
        opened = self._open(name, config)
        depth = xray if isinstance(xray, bool) else min(xray, _MAX_DEPTH)
        key = (name, isinstance(depth, bool), int(depth))
        found = self._drawings.get(key)
        if found is None:
            try:
                async with opened as graph:
                    drawn = await graph.aget_graph(xray=depth)
            except Exception as error:  # of a subgraph elsewhere that does not answer, say
                log.warning("graph_not_drawn", graph=name, xray=xray, exc_info=error)
                how = " with its subgraphs; ask without xray" if xray else ""
                raise InvalidInput(
                    f"The graph {name!r} cannot be drawn{how} ({type(error).__name__})."
                ) from error
            found = _as_clients_draw(drawn.to_json())
            if self._stays(name):
                self._drawings[key] = found
        return found

    async def schemas(self, name: str, *, config: Config = None) -> dict[str, Any]:
        """Return the schemas of a graph, and its name as `graph_id`."""
        opened = self._open(name, config)
        found = self._schemas.get(name)
        if found is None:
            async with opened as graph:
                found = await asyncio.to_thread(_schemas_of, graph, f"{name}_state")
            if self._stays(name):
                self._schemas[name] = found
        return {"graph_id": name, **found}

    async def subgraphs(
        self,
        name: str,
        namespace: str | None = None,
        *,
        recurse: bool = False,
        config: Config = None,
    ) -> dict[str, Schemas]:
        """Return the schemas of a graph's subgraphs by namespace: `outer|inner`, without ids.

        Args:
            name: of a graph.
            namespace: of the only subgraph that is wanted.
            recurse: look into subgraphs too.
            config: the assistant's, for a factory.
        """
        opened = self._open(name, config)
        found = self._subgraphs.get(name)
        if found is None:
            async with opened as graph:
                found = await asyncio.to_thread(_schemas_of_subgraphs, graph)
            if self._stays(name):
                self._subgraphs[name] = found
        return {
            path: schemas
            for path, schemas in found.items()
            if (recurse or _SEPARATOR not in path) and namespace in {None, path}
        }

    def _open(self, name: str, config: Config) -> AbstractAsyncContextManager[Graph]:
        """The graph, or one that its factory makes for looking at; raises where there is none."""
        given = cast("RunnableConfig", dict(config or {}))
        return self._graphs.open(name, given, access="assistants.read")

    def _stays(self, name: str) -> bool:
        return self._graphs.fixed(name) is not None


def _as_clients_draw(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Name nodes without the Python class behind them."""
    nodes = [dict(node) for node in drawn["nodes"]]
    for node in nodes:
        if isinstance(node.get("data"), dict):
            node["data"] = {key: each for key, each in node["data"].items() if key != "id"}
    return {**drawn, "nodes": nodes}


def _schemas_of_subgraphs(graph: Graph) -> dict[str, Schemas]:
    return {
        path: _schemas_of(inner, f"{inner.get_name()}State")
        if isinstance(inner, Pregel)
        else dict.fromkeys(_KINDS)  # it runs elsewhere
        for path, inner in graph.get_subgraphs(recurse=True)
    }


def _schemas_of(graph: Graph, state: str) -> Schemas:
    builder = getattr(graph, "builder", None)
    context = _schema(graph.get_context_jsonschema, graph.context_schema)
    return {
        "input_schema": _schema(graph.get_input_jsonschema, getattr(builder, "input_schema", None)),
        "output_schema": _schema(
            graph.get_output_jsonschema, getattr(builder, "output_schema", None)
        ),
        "state_schema": _schema(lambda: _of_fields(state, _state(graph))),
        # What was `config_schema` in older graphs is their context.
        "config_schema": context or {},
        "context_schema": context,
    }


def _state(graph: Graph) -> dict[str, Any]:
    channels = {name: graph.channels[name] for name in graph.stream_channels_list}
    return {
        name: channel.ValueType
        for name, channel in channels.items()
        if isinstance(channel, BaseChannel)
    }


def _schema(
    make: Callable[[], JsonSchema | None], declared: type[Any] | None = None
) -> JsonSchema | None:
    """Make a schema; from the fields of a type where pydantic does not take the type as a whole.

    Before Python 3.12 it takes no `typing.TypedDict`, in which most graphs declare their state.
    """
    try:
        return make()
    except Exception as error:
        log.debug("no_json_schema", reason=str(error))
    if declared is None:
        return None
    try:
        fields = get_type_hints(declared, include_extras=True)
    except Exception as error:
        log.warning("no_json_schema", type=str(declared), reason=str(error))
        return None
    required = cast("frozenset[str]", getattr(declared, "__required_keys__", frozenset()))
    return _of_fields(declared.__name__, fields, required)


def _of_fields(
    title: str, types: Mapping[str, Any], required: frozenset[str] = frozenset()
) -> JsonSchema:
    """Make the schema of an object; a field whose type has no schema may be anything."""
    fields = {
        # Under names of our own: pydantic refuses some, such as `_private` and `model_config`.
        f"field_{number}": (
            each if _has_schema(each) else Any,
            Field(... if name in required else None, alias=name, title=_title(name)),
        )
        for number, (name, each) in enumerate(types.items())
    }
    model: type[BaseModel] = create_model(title, **cast("dict[str, Any]", fields))
    return model.model_json_schema()


def _title(name: str) -> str:
    return name.replace("_", " ").strip().title()


def _has_schema(each: Any) -> bool:
    try:
        TypeAdapter(each).json_schema()
    except Exception:
        return False
    return True
