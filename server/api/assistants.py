"""The assistants of LangGraph's Agent Server API: found, drawn and described."""

from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from server.api.agent_server import json_response, page_headers
from server.api.errors import problems
from server.runs.assistants import Assistants, ServedAssistant

router = APIRouter(prefix="/assistants", tags=["assistants"])


async def _assistants(request: Request) -> Assistants:
    return cast("Assistants", request.app.state.assistants)


AssistantsDep = Annotated[Assistants, Depends(_assistants)]


async def _named(
    assistants: AssistantsDep,
    assistant_id: Annotated[str, Path(description="An assistant's id, or a graph's name.")],
) -> ServedAssistant:
    return await assistants.get(assistant_id)


AssistantDep = Annotated[ServedAssistant, Depends(_named)]
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "The answer", "content": {"application/json": {}}}
}


class SearchBody(BaseModel):
    """What to look for, and which page of it."""

    model_config = ConfigDict(extra="ignore")

    metadata: dict[str, Any] | None = None
    graph_id: str | None = None
    name: str | None = Field(default=None, description="A part of the name, in any case.")
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0)
    sort_by: Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"] | None = None
    sort_order: Literal["asc", "desc"] | None = None


@router.post(
    "/search",
    summary="Find assistants",
    description="Each graph has one; the header `X-Pagination-Total` says how many were found.",
    response_class=Response,
    responses={**_ANSWER, **problems(422)},
)
async def search(body: SearchBody, assistants: AssistantsDep) -> Response:
    found = await _found(body, assistants)
    if body.sort_by is not None:
        by = body.sort_by
        found.sort(key=lambda each: getattr(each, by), reverse=body.sort_order != "asc")
    page = found[body.offset : body.offset + body.limit]
    more = body.offset + len(page) < len(found)
    return json_response(page, page_headers(body.offset, len(page), more=more))


@router.post(
    "/count",
    summary="Count assistants",
    description="How many a search would find.",
    response_class=Response,
    responses={**_ANSWER, **problems(422)},
)
async def count(body: SearchBody, assistants: AssistantsDep) -> Response:
    return json_response(len(await _found(body, assistants)))


@router.get(
    "/{assistant_id}",
    summary="Get an assistant",
    description="By its id, or by its graph's name.",
    response_class=Response,
    responses={**_ANSWER, **problems(404, 422)},
)
async def get(assistant: AssistantDep) -> Response:
    return json_response(assistant)


@router.post(
    "/{assistant_id}/versions",
    summary="List the versions of an assistant",
    description="Newest first.",
    response_class=Response,
    responses={**_ANSWER, **problems(404, 422)},
)
async def versions(assistant: AssistantDep) -> Response:
    return json_response([assistant])


@router.get(
    "/{assistant_id}/graph",
    summary="Draw the graph of an assistant",
    description="Nodes and edges. `xray` opens subgraphs: true for all, a number for so many deep.",
    response_class=Response,
    responses={**_ANSWER, **problems(404, 422)},
)
async def drawing(
    assistant: AssistantDep, assistants: AssistantsDep, xray: bool | int = False
) -> Response:
    return json_response(await assistants.drawing(assistant, xray=xray))


@router.get(
    "/{assistant_id}/schemas",
    summary="Describe what a graph takes and gives",
    description="JSON schemas of input, output, state, config and context; null where there are "
    "none.",
    response_class=Response,
    responses={**_ANSWER, **problems(404, 422)},
)
async def schemas(assistant: AssistantDep, assistants: AssistantsDep) -> Response:
    return json_response(await assistants.schemas(assistant))


@router.get(
    "/{assistant_id}/subgraphs",
    summary="Describe the subgraphs of an assistant",
    description="Their schemas by namespace; with `recurse` those inside them too.",
    response_class=Response,
    responses={**_ANSWER, **problems(404, 422)},
)
async def subgraphs(
    assistant: AssistantDep,
    assistants: AssistantsDep,
    recurse: Annotated[bool, Query(description="Also those inside subgraphs.")] = False,
) -> Response:
    return json_response(await assistants.subgraphs(assistant, namespace=None, recurse=recurse))


@router.get(
    "/{assistant_id}/subgraphs/{namespace}",
    summary="Describe one subgraph of an assistant",
    description="As above, of this namespace only.",
    response_class=Response,
    responses={**_ANSWER, **problems(404, 422)},
)
async def subgraph(
    assistant: AssistantDep, assistants: AssistantsDep, namespace: str, recurse: bool = False
) -> Response:
    found = await assistants.subgraphs(assistant, namespace=namespace, recurse=recurse)
    return json_response(found)


async def _found(body: SearchBody, assistants: Assistants) -> list[ServedAssistant]:
    return await assistants.search(
        graph_id=body.graph_id, name=body.name, metadata=body.metadata or {}
    )
