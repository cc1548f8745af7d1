"""The store, as LangGraph's SDKs call it: items in namespaces, kept across threads."""

from typing import Annotated, Any

from fastapi import Query, Response
from langgraph.store.base import NOT_PROVIDED, Item, SearchItem
from pydantic import BaseModel, ConfigDict, Field

from everturn.checkpoints.errors import InvalidItem
from everturn.server.api.http.deps import StoreDep
from everturn.server.api.http.json import dumps
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import MAX_WANTED_CHARACTERS, Few, Name, Wanted
from everturn.server.errors import InvalidInput

router = Router(tags=["store"])

_MAX = 2**31 - 1
_MAX_FOUND = 10_000
"""Items or namespaces of one answer."""


Labels = Annotated[
    Few[Name],
    Field(description="Labels from the outside in, without dots; the first is not `langgraph`."),
]
Limit = Annotated[int, Field(ge=0, le=_MAX_FOUND, strict=True, description="At most so many.")]
Offset = Annotated[int, Field(ge=0, le=_MAX, strict=True, description="Pass over so many.")]


class PutRequest(BaseModel):
    """An item to be kept."""

    namespace: Labels
    key: Name = Field(description="Names the item within its namespace.")
    value: dict[str, Any] = Field(description="Any JSON object.")
    index: bool | Few[Name] | None = Field(
        default=None,
        description="Paths of the texts to be found by meaning; `false` for none, `null` for those "
        "of `store.index` in `langgraph.json`.",
    )
    ttl: float | None = Field(
        default=None,
        gt=0,
        le=_MAX,
        description="Minutes it lives after its last use; `null` keeps it. Where it is not named, "
        "`store.ttl` of `langgraph.json` says.",
    )


class DeleteRequest(BaseModel):
    """An item to be deleted."""

    namespace: Labels
    key: Name


class SearchRequest(BaseModel):
    """What to look for."""

    namespace_prefix: Labels | None = Field(
        default=None, description="Where to look, and in all namespaces inside; none is everywhere."
    )
    filter: Wanted | None = Field(
        default=None,
        description="Fields and their values, or `{$eq, $ne, $gt, $gte, $lt, $lte: value}`.",
    )
    limit: Limit = 10
    offset: Offset = 0
    query: str | None = Field(
        default=None,
        max_length=MAX_WANTED_CHARACTERS,
        description="Nearest in meaning first, where `store.index` of `langgraph.json` is set.",
    )
    refresh_ttl: bool | None = Field(default=None, description="Whether what is found lives on.")


class NamespacesRequest(BaseModel):
    """Which namespaces to name; `*` stands for any one label."""

    prefix: Few[Name] | None = Field(default=None, description="How they begin.")
    suffix: Few[Name] | None = Field(default=None, description="How they end.")
    max_depth: int | None = Field(
        default=None, ge=0, le=_MAX, strict=True, description="Cut them to so many labels."
    )
    limit: Limit = 100
    offset: Offset = 0


class StoredItem(BaseModel):
    """An item that is kept."""

    model_config = ConfigDict(json_schema_extra={"required": ["namespace", "key", "value"]})

    namespace: list[str]
    key: str
    value: dict[str, Any]
    created_at: str = Field(description="ISO 8601, UTC.")
    updated_at: str = Field(description="ISO 8601, UTC.")


class FoundItem(StoredItem):
    """An item that was found."""

    score: float | None = Field(description="Nearness in meaning, -1 to 1; `null` without a query.")


class SearchResponse(BaseModel):
    """A page of what was found, the latest or the nearest first."""

    items: list[FoundItem]


class NamespacesResponse(BaseModel):
    """A page of namespaces, sorted."""

    namespaces: list[list[str]]


@router.put(
    "/store/items",
    status_code=204,
    response_class=Response,
    summary="Keep an item",
    description="Writes an item, or replaces the one that is there under the same key.",
    responses=problems(400, 503),
)
async def put_item(body: PutRequest, store: StoreDep) -> None:
    namespace = _checked(body.namespace)
    if body.index is True:
        raise InvalidInput("index: give `false`, `null` or a list of paths.")
    ttl = body.ttl if "ttl" in body.model_fields_set else NOT_PROVIDED
    await store.put(namespace, body.key, body.value, body.index, ttl)


@router.get(
    "/store/items",
    summary="Read an item",
    description="Returns an item, or `null` where there is none or it has expired.",
    response_model=StoredItem | None,
    responses=problems(400, 503),
)
async def get_item(
    store: StoreDep,
    key: Annotated[str, Query(description="Names the item within its namespace.")] = "",
    namespace: Annotated[str, Query(description="The labels, joined with dots.")] = "",
    refresh_ttl: Annotated[
        bool | None, Query(description="Whether this counts as a use, for an item with a TTL.")
    ] = None,
) -> Response:
    labels = _checked(namespace.split("."))
    if not key:
        raise InvalidItem("Key is required.")
    item = await store.get(labels, key, refresh_ttl=refresh_ttl)
    return _json(item and _shown(item))


@router.delete(
    "/store/items",
    status_code=204,
    response_class=Response,
    summary="Delete an item",
    description="Deletes an item; there need not be one.",
    responses=problems(400, 503),
)
async def delete_item(body: DeleteRequest, store: StoreDep) -> None:
    await store.delete(_checked(body.namespace), body.key)


@router.post(
    "/store/items/search",
    summary="Search items",
    description="Finds items in a namespace and all those inside it, by their fields and, where "
    "`langgraph.json` configures an index, by meaning.",
    response_model=SearchResponse,
    responses=problems(400, 503),
)
async def search_items(body: SearchRequest, store: StoreDep) -> Response:
    found = await store.search(
        _checked(body.namespace_prefix or []),
        query=body.query,
        filter=body.filter,
        limit=body.limit or 10,  # 0 means the default to LangGraph's server too
        offset=body.offset,
        refresh_ttl=body.refresh_ttl,
    )
    return _json({"items": [_shown(item) for item in found]})


@router.post(
    "/store/namespaces",
    summary="List namespaces",
    description="Names the namespaces that have items.",
    response_model=NamespacesResponse,
    responses=problems(400, 503),
)
async def list_namespaces(body: NamespacesRequest, store: StoreDep) -> Response:
    namespaces = await store.namespaces(
        _checked(body.prefix or []) or None,
        suffix=_checked(body.suffix or []) or None,
        max_depth=body.max_depth,
        limit=body.limit,
        offset=body.offset,
    )
    return _json({"namespaces": namespaces})


def _checked(labels: list[str]) -> tuple[str, ...]:
    """Refuse labels that would read as two, or as none."""
    for label in labels:
        if not label or "." in label:
            raise InvalidInput(
                f"Namespace label {label!r} must be a non-empty string without periods."
            )
    return tuple(labels)


def _shown(item: Item) -> dict[str, Any]:
    """Write an item as `langgraph_sdk.schema` reads it."""
    shown: dict[str, Any] = {
        "namespace": item.namespace,
        "key": item.key,
        "value": item.value,
        "created_at": item.created_at.isoformat(),
        "updated_at": item.updated_at.isoformat(),
    }
    if isinstance(item, SearchItem):
        shown["score"] = item.score
    return shown


def _json(value: Any) -> Response:
    return Response(dumps(value), media_type="application/json")
