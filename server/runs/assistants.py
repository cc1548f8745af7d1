"""Assistants: a graph with choices made for it. Each graph of `langgraph.json` has one of its own.

These system assistants have the ids that LangGraph gives them, so a client finds them under the
same id on every server.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from pydantic import create_model

from server.runs.errors import AssistantNotFound, UnknownAssistant
from server.runs.graphs import Graphs
from server.runs.run import Assistant

# Source: what LangGraph's own server answers for its graphs.
_NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")

SYSTEM: Mapping[str, Any] = {"created_by": "system"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAssistant(Assistant):
    """An assistant as clients see it."""

    name: str
    description: str | None = None
    version: int = 1
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Assistants:
    """The assistants of the graphs that are served."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._by_graph = {
            name: ServedAssistant(
                assistant_id=str(uuid5(_NAMESPACE, name)),
                graph_id=name,
                metadata=SYSTEM,
                name=name,
                description=graphs.description(name),
            )
            for name in graphs.names
        }
        self._by_id = {each.assistant_id: each for each in self._by_graph.values()}

    async def resolve(self, name_or_id: str) -> ServedAssistant:
        """Return an assistant by its id, or by its graph's name.

        Raises:
            AssistantNotFound: naming the graphs there are.
        """
        found = self._by_id.get(name_or_id) or self._by_graph.get(name_or_id)
        if found is None:
            there_are = ", ".join(self._by_graph)
            raise AssistantNotFound(
                f"There is no assistant {name_or_id!r}: give the id of one, or the name of a graph "
                f"({there_are})."
            )
        return found

    async def get(self, name_or_id: str) -> ServedAssistant:
        """As `resolve`, where the assistant itself was asked for.

        Raises:
            UnknownAssistant: there is none.
        """
        try:
            return await self.resolve(name_or_id)
        except AssistantNotFound as error:
            raise UnknownAssistant(str(error)) from None

    async def search(
        self, *, graph_id: str | None = None, name: str | None = None, metadata: Mapping[str, Any]
    ) -> list[ServedAssistant]:
        """Return the assistants of a graph, with a name that contains `name`, and such metadata."""
        return [
            each
            for each in self._by_graph.values()
            if graph_id in {None, each.graph_id}
            and (name is None or name.casefold() in each.name.casefold())
            and all(each.metadata.get(key) == value for key, value in metadata.items())
        ]

    async def drawing(self, assistant: Assistant, *, xray: bool | int) -> dict[str, Any]:
        """Return nodes and edges, as Studio draws them; `xray` opens subgraphs, so many deep."""
        async with self._graphs.open(assistant.graph_id, access="assistants.read") as graph:
            drawing = (await graph.aget_graph(xray=xray)).to_json()
        for node in drawing["nodes"]:
            if "data" in node:  # without the class it is made of, which is ours to change
                node["data"] = {"name": node["data"].get("name", node["id"])}
        return drawing

    async def schemas(self, assistant: Assistant) -> dict[str, Any]:
        """Return the JSON schemas of what the graph takes, keeps and gives."""
        async with self._graphs.open(assistant.graph_id, access="assistants.read") as graph:
            return {"graph_id": assistant.graph_id, **_schemas(graph)}

    async def subgraphs(
        self, assistant: Assistant, *, namespace: str | None, recurse: bool
    ) -> dict[str, Any]:
        """Return the schemas of subgraphs by namespace; of one, if it is named."""
        async with self._graphs.open(assistant.graph_id, access="assistants.read") as graph:
            return {
                name: _schemas(inner)
                async for name, inner in graph.aget_subgraphs(namespace=namespace, recurse=recurse)
            }


def _schemas(graph: Any) -> dict[str, Any]:
    """A schema that pydantic cannot make is null, as on LangGraph's own server."""
    makers: dict[str, Callable[[], Any]] = {
        "input_schema": graph.get_input_jsonschema,
        "output_schema": graph.get_output_jsonschema,
        "state_schema": lambda: _state_schema(graph),
        "config_schema": dict,  # LangGraph has put a context in its place
        "context_schema": graph.get_context_jsonschema,
    }
    found: dict[str, Any] = {}
    for name, make in makers.items():
        with suppress(Exception):
            found[name] = make()
    return {**dict.fromkeys(makers), **found}


def _state_schema(graph: Any) -> Any:
    """All channels that clients see in a state, as one object."""
    channels = graph.stream_channels_list
    return graph.get_output_schema().model_json_schema() if not channels else _fields(graph)


def _fields(graph: Any) -> Any:
    fields: dict[str, Any] = {
        name: (graph.channels[name].UpdateType, None) for name in graph.stream_channels_list
    }
    return create_model("State", **fields).model_json_schema()
