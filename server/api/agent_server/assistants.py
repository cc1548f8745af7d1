"""Assistants of the Agent Server API: what LangGraph's clients call `client.assistants`."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, BeforeValidator, Field

from everturn.checkpoints.sql.assistants import (
    Assistant,
    AssistantVersion,
    Changes,
    Filter,
    SortBy,
    SortOrder,
)
from everturn.checkpoints.sql.threads import Filter as ThreadFilter
from everturn.server.api.agent_server.bodies import (
    SELECTED,
    AssistantId,
    Config,
    Context,
    json_response,
    page_headers,
)
from everturn.server.api.http.deps import AssistantsDep, ThreadsDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import Few, JsonObject, Name, Storable, Wanted
from everturn.server.resources.assistants import Search

router = Router(prefix="/assistants", tags=["assistants"])

_MAX = 1000
_MAX_PROSE = 20_000
_LARGEST = 2**63 - 1
_LARGE = {"description", "config", "context", "metadata"}
"""Fields that are not read where they are not selected."""

AssistantField = Literal[
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "created_at",
    "updated_at",
    "metadata",
    "version",
]


def _xray(value: Any) -> Any:
    """Read what comes in a query: a depth, or whether there is none to it."""
    text = str(value).lower()
    if text in {"true", "false", ""}:
        return text == "true"
    if text.isdecimal() and text.isascii() and text.strip("0"):
        return int(text[:9])
    raise ValueError("must be true, false, or a depth from 1 on")


Offset = Annotated[int, Field(ge=0, le=_LARGEST - _MAX)]
Limit = Annotated[int, Field(ge=1, le=_MAX)]
Xray = Annotated[
    bool | int,
    BeforeValidator(_xray),
    Query(description="Draw subgraphs in their places: all, or down to a depth."),
]
Recurse = Annotated[bool, Query(description="Look into subgraphs too.")]


Prose = Annotated[str, Field(max_length=_MAX_PROSE), Storable]


class AssistantCreate(BaseModel):
    """A new assistant."""

    graph_id: Name = Field(description="A name of langgraph.json, see GET /info.")
    assistant_id: UUID | None = Field(default=None, description="None makes a new one.")
    name: Name | None = Field(default=None, description="For people; none is `Untitled`.")
    description: Prose | None = Field(default=None, description="For people.")
    config: Config | None = Field(
        default=None, description="LangGraph's run config: tags, recursion_limit, configurable."
    )
    context: Context | None = Field(
        default=None,
        description="What the graph may choose from, see `/schemas`; kept as "
        "`config.configurable` too, and either may be said.",
    )
    metadata: JsonObject | None = Field(default=None, description="Anything of yours.")
    if_exists: Literal["raise", "do_nothing"] | None = Field(
        default=None, description="`raise` is a 409, `do_nothing` returns the assistant as it is."
    )


class AssistantPatch(BaseModel):
    """What the next version has of its own; what is not said stays."""

    graph_id: Name | None = None
    name: Name | None = None
    description: Prose | None = None
    config: Config | None = Field(default=None, description="Replaced; an empty one stays.")
    context: Context | None = Field(default=None, description="Replaced.")
    metadata: JsonObject | None = Field(default=None, description="Merged, key by key.")


class AssistantCount(BaseModel):
    """What to look for."""

    metadata: Wanted | None = Field(default=None, description="Contained in the assistant's.")
    graph_id: Name | None = None
    name: Name | None = Field(
        default=None, description="A part of the name; capitals do not matter."
    )

    def filter(self) -> Filter:
        """Put it in the table's words."""
        return Filter(graph_id=self.graph_id, name=self.name, metadata=self.metadata or {})


class AssistantSearch(AssistantCount):
    """What to look for, in which order, and what to tell of it."""

    limit: Limit = 10
    offset: Offset = 0
    sort_by: SortBy | None = Field(default=None, description="None is `created_at`.")
    sort_order: SortOrder | None = Field(default=None, description="None is `desc`.")
    select: Few[AssistantField] | None = Field(default=None, description="None is all.")

    def search(self) -> Search:
        """Put it in the engine's words."""
        return Search(
            filter=self.filter(),
            limit=self.limit,
            offset=self.offset,
            sort_by=self.sort_by or "created_at",
            sort_order=self.sort_order or "desc",
            without=_LARGE - set(self.select) if self.select else (),
        )


class VersionSearch(BaseModel):
    """Which versions to show."""

    metadata: Wanted | None = Field(default=None, description="Contained in the version's.")
    limit: Limit = 10
    offset: Offset = 0


class VersionChange(BaseModel):
    """Which version becomes the latest."""

    version: int


class VersionModel(BaseModel):
    """An assistant at one of its versions."""

    assistant_id: str
    graph_id: str
    name: str
    description: str | None
    config: dict[str, Any]
    context: dict[str, Any]
    metadata: dict[str, Any]
    version: int
    created_at: datetime


class AssistantModel(VersionModel):
    """An assistant at its latest version."""

    updated_at: datetime


class FoundAssistant(AssistantModel):
    """An assistant, or the fields of it that were selected."""

    model_config = SELECTED


class DrawingModel(BaseModel):
    """A graph."""

    nodes: list[dict[str, Any]] = Field(description="`{id, type, data: {name}, metadata}`")
    edges: list[dict[str, Any]] = Field(description="`{source, target, data, conditional}`")


class SubgraphModel(BaseModel):
    """JSON schemas; null where a type has none."""

    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    state_schema: dict[str, Any] | None
    config_schema: dict[str, Any] | None = Field(description="Of `config.configurable`.")
    context_schema: dict[str, Any] | None


class SchemasModel(SubgraphModel):
    """JSON schemas of a graph of `langgraph.json`."""

    graph_id: str


@router.post(
    "",
    summary="Make an assistant",
    description="Keeps choices for a graph under an id: its version 1. Runs that name the "
    "assistant are run with them.",
    responses={200: {"model": AssistantModel}, **problems(400, 404, 409, 503)},
)
async def create_assistant(body: AssistantCreate, assistants: AssistantsDep) -> Response:
    assistant = await assistants.create(
        body.graph_id,
        assistant_id=str(body.assistant_id) if body.assistant_id else None,
        name=body.name,
        description=body.description,
        config=body.config,
        context=body.context,
        metadata=body.metadata,
        or_get=body.if_exists == "do_nothing",
    )
    return json_response(_to_json(assistant))


@router.post(
    "/search",
    summary="Search assistants",
    description="Assistants that fit all that is said, newest first. Every graph has one of its "
    'own, with the metadata `{"created_by": "system"}`. `X-Pagination-Total` counts as far as '
    "this page and whether there is more; `X-Pagination-Next` is the next offset.",
    responses={200: {"model": list[FoundAssistant]}, **problems(404, 503)},
)
async def search_assistants(body: AssistantSearch, assistants: AssistantsDep) -> Response:
    page, more = await assistants.search(body.search())
    return json_response(
        [_to_json(each, body.select) for each in page],
        page_headers(body.offset, len(page), more=more),
    )


@router.post(
    "/count",
    summary="Count assistants",
    description="How many assistants fit all that is said.",
    responses=problems(404, 503),
)
async def count_assistants(body: AssistantCount, assistants: AssistantsDep) -> int:
    return await assistants.count(body.filter())


@router.get(
    "/{assistant_id}",
    summary="Show an assistant",
    description="An assistant at its latest version.",
    responses={200: {"model": AssistantModel}, **problems(404, 503)},
)
async def show_assistant(assistant_id: AssistantId, assistants: AssistantsDep) -> Response:
    return json_response(_to_json(await assistants.get(assistant_id)))


@router.patch(
    "/{assistant_id}",
    summary="Change an assistant",
    description="Makes the next version of an assistant; the others stay as they were. A graph's "
    "own assistant goes on running this graph.",
    responses={200: {"model": AssistantModel}, **problems(400, 404, 409, 503)},
)
async def patch_assistant(
    assistant_id: AssistantId, body: AssistantPatch, assistants: AssistantsDep
) -> Response:
    return json_response(
        _to_json(await assistants.change(assistant_id, Changes(**body.model_dump())))
    )


@router.delete(
    "/{assistant_id}",
    status_code=204,
    response_class=Response,
    summary="Delete an assistant",
    description="Deletes it with its versions and crons. What was run with it stays, unless "
    "`delete_threads` says otherwise. The own assistant of a graph that is served stays: 409.",
    responses=problems(404, 409, 503),
)
async def delete_assistant(
    assistant_id: AssistantId,
    assistants: AssistantsDep,
    threads: ThreadsDep,
    delete_threads: Annotated[
        bool, Query(description="First delete the threads whose `metadata.assistant_id` it is.")
    ] = False,
) -> None:
    if delete_threads:
        found = await assistants.deletable(assistant_id)
        await threads.delete_all(ThreadFilter(metadata={"assistant_id": found.assistant_id}))
    await assistants.delete(assistant_id)


@router.post(
    "/{assistant_id}/versions",
    summary="List the versions of an assistant",
    description="Newest first, those of certain metadata.",
    responses={200: {"model": list[VersionModel]}, **problems(404, 503)},
)
async def list_versions(
    assistant_id: AssistantId, body: VersionSearch, assistants: AssistantsDep
) -> Response:
    found = await assistants.versions(
        assistant_id, metadata=body.metadata, limit=body.limit, offset=body.offset
    )
    return json_response([_to_json(each) for each in found])


@router.post(
    "/{assistant_id}/latest",
    summary="Set the latest version of an assistant",
    description="Makes an older version the one that runs use; the versions stay as they are.",
    responses={200: {"model": AssistantModel}, **problems(404, 503)},
)
async def set_latest_version(
    assistant_id: AssistantId, body: VersionChange, assistants: AssistantsDep
) -> Response:
    return json_response(_to_json(await assistants.set_latest(assistant_id, body.version)))


@router.get(
    "/{assistant_id}/graph",
    summary="Draw the graph of an assistant",
    description="Its nodes and edges, as Studio draws them.",
    responses={200: {"model": DrawingModel}, **problems(404, 503)},
)
async def show_graph(
    assistant_id: AssistantId, assistants: AssistantsDep, xray: Xray = False
) -> Response:
    found = await assistants.get(assistant_id)
    return json_response(
        await assistants.introspection.drawing(found.graph_id, xray, config=found.config)
    )


@router.get(
    "/{assistant_id}/schemas",
    summary="Show the schemas of an assistant",
    description="JSON schemas of its graph's input, output, state and context.",
    responses={200: {"model": SchemasModel}, **problems(404, 503)},
)
async def show_schemas(assistant_id: AssistantId, assistants: AssistantsDep) -> Response:
    found = await assistants.get(assistant_id)
    return json_response(
        await assistants.introspection.schemas(found.graph_id, config=found.config)
    )


@router.get(
    "/{assistant_id}/subgraphs",
    summary="List the subgraphs of an assistant",
    description="The schemas of its graph's subgraphs, by namespace: `outer|inner`.",
    responses={200: {"model": dict[str, SubgraphModel]}, **problems(404, 503)},
)
async def list_subgraphs(
    assistant_id: AssistantId, assistants: AssistantsDep, recurse: Recurse = False
) -> Response:
    found = await assistants.get(assistant_id)
    return json_response(
        await assistants.introspection.subgraphs(
            found.graph_id, recurse=recurse, config=found.config
        )
    )


@router.get(
    "/{assistant_id}/subgraphs/{namespace}",
    summary="Show a subgraph of an assistant",
    description="The same of one subgraph; empty where there is none. One inside another needs "
    "`recurse`.",
    responses={200: {"model": dict[str, SubgraphModel]}, **problems(404, 503)},
)
async def show_subgraph(
    assistant_id: AssistantId,
    namespace: str,
    assistants: AssistantsDep,
    recurse: Recurse = False,
) -> Response:
    found = await assistants.get(assistant_id)
    return json_response(
        await assistants.introspection.subgraphs(
            found.graph_id, namespace, recurse=recurse, config=found.config
        )
    )


def _to_json(
    assistant: Assistant | AssistantVersion, select: Sequence[str] | None = None
) -> Mapping[str, Any]:
    names = [each.name for each in fields(assistant)]
    return {name: getattr(assistant, name) for name in names if not select or name in select}
