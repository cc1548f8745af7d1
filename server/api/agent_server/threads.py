"""Threads of the Agent Server API: what LangGraph's clients call `client.threads`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Header, Query, Response
from langgraph.types import Command
from pydantic import AfterValidator, BaseModel, Field, model_validator

from everturn.checkpoints.redis.storage import Section
from everturn.checkpoints.sql.searched import SortOrder
from everturn.checkpoints.sql.threads import Filter, SortBy, Status, Thread, new_thread
from everturn.server.api.agent_server.bodies import (
    SELECTED,
    ThreadId,
    json_response,
    large_json_response,
    page_headers,
)
from everturn.server.api.http.deps import ThreadsDep
from everturn.server.api.http.json import jsonable
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import (
    MAX_NAME,
    Few,
    FewMessages,
    JsonObject,
    Many,
    Name,
    Wanted,
    at_most,
)
from everturn.server.resources.paths import follow, parse_path
from everturn.server.resources.states import Step
from everturn.server.resources.threads import Found, Search

router = Router(prefix="/threads", tags=["threads"])

_MAX = 1000
_LARGEST = 2**63 - 1
_MAX_MINUTES = 525_600_000  # a thousand years
_MAX_PATHS = 10
_LARGE = {"metadata", "config", "interrupts", "error"}
"""Fields that are not read where they are not selected."""

ThreadField = Literal[
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "config",
    "status",
    "values",
    "interrupts",
]


def _path(text: str) -> str:
    parse_path(text)
    return text


ThreadPath = Annotated[Name, AfterValidator(_path)]
Paths = Annotated[
    dict[Annotated[str, Field(pattern=r"^\w+$", max_length=MAX_NAME)], ThreadPath],
    at_most(_MAX_PATHS),
]


class Ttl(BaseModel):
    """How long a thread lives after its last change."""

    ttl: float = Field(
        gt=0, le=_MAX_MINUTES, allow_inf_nan=False, description="Minutes after the last change."
    )
    strategy: Literal["delete", "keep_latest"] = Field(
        default="delete",
        description="What ends then: the thread, or all but its newest checkpoints.",
    )

    @model_validator(mode="before")
    @classmethod
    def _minutes(cls, value: Any) -> Any:
        return {"ttl": value} if isinstance(value, int | float) else value


class CommandUpdate(BaseModel):
    """A command in place of values."""

    update: Annotated[dict[str, Any] | list[Any] | None, FewMessages] = None
    resume: Any = None
    goto: Name | Many[Name] = Field(default_factory=list)


class StepUpdate(BaseModel):
    """What a node is taken to have written."""

    as_node: Name = Field(description="The node, or `__input__`.")
    values: Annotated[dict[str, Any] | list[Any] | None, FewMessages] = None
    command: CommandUpdate | None = Field(default=None, description="In place of `values`.")

    def step(self) -> Step:
        """Put it in the engine's words."""
        command = self.command and Command(**self.command.model_dump(exclude_unset=True))
        return Step(self.as_node, command or self.values)


class Superstep(BaseModel):
    """Updates that happen together."""

    updates: Many[StepUpdate] = Field(min_length=1)


class ThreadCreate(BaseModel):
    """A new thread."""

    thread_id: UUID | None = Field(default=None, description="None makes a new one.")
    metadata: JsonObject | None = Field(
        default=None, description="Anything of yours; `graph_id` says whose state it has."
    )
    if_exists: Literal["raise", "do_nothing"] | None = Field(
        default=None, description="`raise` is a 409, `do_nothing` returns the thread as it is."
    )
    ttl: Ttl | None = None
    supersteps: Many[Superstep] | None = Field(
        default=None, description="A state to begin with, step by step."
    )


class ThreadPatch(BaseModel):
    """Changes to a thread."""

    metadata: JsonObject | None = Field(default=None, description="Merged, key by key.")
    ttl: Ttl | None = None


class ThreadCount(BaseModel):
    """What to look for."""

    metadata: Wanted | None = Field(default=None, description="Contained in the thread's.")
    values: Wanted | None = Field(default=None, description="Contained in its latest state.")
    status: Status | None = None

    def filter(self, ids: Sequence[str] | None = None) -> Filter:
        """Put it in the table's words."""
        return Filter(ids=ids, metadata=self.metadata or {}, status=self.status)


class ThreadSearch(ThreadCount):
    """What to look for, in which order, and what to tell of it."""

    ids: Many[UUID] | None = Field(default=None, description="None, or an empty list, is all.")
    limit: int = Field(default=10, ge=1, le=_MAX)
    offset: int = Field(default=0, ge=0, le=_LARGEST - _MAX)
    sort_by: SortBy | None = Field(default=None, description="None is `updated_at`.")
    sort_order: SortOrder | None = Field(default=None, description="None is `desc`.")
    select: Few[ThreadField] | None = Field(default=None, description="None is all.")
    extract: Paths | None = Field(
        default=None,
        max_length=_MAX_PATHS,
        description="Names of paths like `values.messages[-1].content`, returned as `extracted`.",
    )

    def search(self) -> Search:
        """Put it in the engine's words."""
        shown = not self.select or "values" in self.select
        looked_into = any(path.startswith("values") for path in (self.extract or {}).values())
        # Metadata names the graph whose the values are.
        read = {"metadata"} if shown or looked_into or self.values else set[str]()
        unread = _LARGE - set(self.select) - read if self.select and not self.extract else ()
        return Search(
            filter=self.filter([str(each) for each in self.ids] if self.ids else None),
            values=self.values or {},
            limit=self.limit,
            offset=self.offset,
            sort_by=self.sort_by or "updated_at",
            sort_order=self.sort_order or "desc",
            with_values=shown or looked_into,
            without=unread,
        )


class ThreadPrune(BaseModel):
    """What to make room from."""

    thread_ids: Many[UUID]
    strategy: Literal["delete", "keep_latest"] = Field(
        default="delete", description="Threads, or all but their newest checkpoints."
    )


class ThreadModel(BaseModel):
    """A thread."""

    thread_id: str
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime
    metadata: dict[str, Any]
    config: dict[str, Any]
    status: Status
    values: Any = Field(description="Its latest state; null while it has none.")
    interrupts: dict[str, list[dict[str, Any]]] = Field(
        description="What it waits for, by the task that asks."
    )
    error: dict[str, Any] | None = Field(description="Of its last run, where that failed.")
    ttl: dict[str, Any] | None = Field(
        default=None, description="With `include=ttl`: strategy, ttl_minutes, expires_at."
    )


class FoundThread(ThreadModel):
    """A thread, or the fields of it that were selected."""

    model_config = SELECTED

    extracted: dict[str, Any] = Field(description="With `extract`: what the paths lead to.")


class StorageSection(BaseModel):
    """What some of it takes."""

    rows: int = Field(description="How many there are.")
    bytes: int = Field(description="Of names and values, as they are stored.")


class ChannelStorage(StorageSection):
    """What the values of the channels take."""

    channels: dict[str, StorageSection] = Field(description="By the channel's name.")


class StorageModel(BaseModel):
    """What a thread takes where its checkpoints are stored."""

    thread_id: str
    total_bytes: int = Field(description="The sum of the three sections.")
    checkpoints: StorageSection = Field(description="Checkpoints, each with its metadata.")
    channel_values: ChannelStorage = Field(description="Each value of each channel.")
    pending_writes: StorageSection = Field(
        description="What tasks wrote, and tool calls answered, in steps not stored as yet."
    )


class PruneResult(BaseModel):
    """How many of the threads there were."""

    pruned_count: int


@router.post(
    "",
    summary="Make a thread",
    description="Makes a thread, with metadata and a lifetime if you like, and a state if "
    "`supersteps` say one.",
    responses={200: {"model": ThreadModel}, **problems(400, 404, 409, 503)},
)
async def create_thread(body: ThreadCreate, threads: ThreadsDep) -> Response:
    thread = new_thread(
        str(body.thread_id) if body.thread_id else None,
        metadata=body.metadata,
        ttl=body.ttl.model_dump() if body.ttl else None,
    )
    found = await threads.create(
        thread,
        or_get=body.if_exists == "do_nothing",
        supersteps=[[update.step() for update in each.updates] for each in body.supersteps or ()],
    )
    return json_response(_to_json(found))


@router.post(
    "/search",
    summary="Search threads",
    description="Threads that fit all that is said, last changed first. `X-Pagination-Total` "
    "counts as far as this page and whether there is more; `X-Pagination-Next` is the next offset.",
    responses={200: {"model": list[FoundThread]}, **problems(503)},
)
async def search_threads(body: ThreadSearch, threads: ThreadsDep) -> Response:
    page, more = await threads.search(body.search())
    return await large_json_response(
        [_selected(found, body.select, body.extract) for found in page],
        page_headers(body.offset, len(page), more=more),
    )


@router.post(
    "/count",
    summary="Count threads",
    description="How many threads fit all that is said.",
    responses=problems(503),
)
async def count_threads(body: ThreadCount, threads: ThreadsDep) -> int:
    return await threads.count(Search(filter=body.filter(), values=body.values or {}))


@router.post(
    "/prune",
    summary="Prune threads",
    description="Deletes threads, or with `keep_latest` all but their newest checkpoints. "
    "Ids of no thread are passed over.",
    responses=problems(409, 503),
)
async def prune_threads(body: ThreadPrune, threads: ThreadsDep) -> PruneResult:
    ids = list(dict.fromkeys(str(each) for each in body.thread_ids))
    pruned = await threads.prune(ids, keep_latest=body.strategy == "keep_latest")
    return PruneResult(pruned_count=pruned)


@router.get(
    "/{thread_id}",
    summary="Show a thread",
    description="A thread with its latest values; `include=ttl` adds its lifetime. Chat sessions "
    "are no threads here: see /api/chat.",
    responses={200: {"model": ThreadModel}, **problems(404, 503)},
)
async def show_thread(
    thread_id: ThreadId,
    threads: ThreadsDep,
    include: Annotated[str, Query(description="`ttl`, or several with commas.")] = "",
) -> Response:
    found = await threads.get(str(thread_id))
    return json_response(_to_json(found) | (_lifetime(found.thread) if "ttl" in include else {}))


@router.patch(
    "/{thread_id}",
    summary="Change a thread",
    description="Merges metadata and sets the lifetime. `Prefer: return=minimal` answers 204.",
    responses={
        200: {"model": ThreadModel},
        204: {"description": "Changed"},
        **problems(404, 503),
    },
)
async def patch_thread(
    thread_id: ThreadId,
    body: ThreadPatch,
    threads: ThreadsDep,
    prefer: Annotated[str, Header()] = "",
) -> Response:
    thread = await threads.patch(
        str(thread_id),
        metadata=body.metadata,
        ttl=body.ttl.model_dump() if body.ttl else None,
    )
    if "return=minimal" in prefer:
        return Response(status_code=204)
    return json_response(_to_json(await threads.filled(thread)))


@router.delete(
    "/{thread_id}",
    status_code=204,
    response_class=Response,
    summary="Delete a thread",
    description="Cancels what runs on it and deletes it with its runs, checkpoints and history.",
    responses=problems(404, 409, 503),
)
async def delete_thread(thread_id: ThreadId, threads: ThreadsDep) -> None:
    await threads.delete(str(thread_id))


@router.get(
    "/{thread_id}/storage",
    summary="Show the storage of a thread",
    description="The bytes of its checkpoints, its channels' values and its pending writes, as "
    "Redis stores them. What several values have in common is stored and counted once.",
    responses=problems(404, 503),
)
async def show_storage(thread_id: ThreadId, threads: ThreadsDep) -> StorageModel:
    found = await threads.storage(str(thread_id))
    values = found.channels.values()
    checkpoints, pending = (_section(each) for each in (found.checkpoints, found.pending))
    channel_values = ChannelStorage(
        rows=sum(each.rows for each in values),
        bytes=sum(each.bytes for each in values),
        channels={name: _section(each) for name, each in found.channels.items()},
    )
    return StorageModel(
        thread_id=str(thread_id),
        total_bytes=checkpoints.bytes + channel_values.bytes + pending.bytes,
        checkpoints=checkpoints,
        channel_values=channel_values,
        pending_writes=pending,
    )


@router.post(
    "/{thread_id}/copy",
    summary="Copy a thread",
    description="Makes a thread with the same metadata and checkpoints.",
    responses={200: {"model": ThreadModel}, **problems(404, 503)},
)
async def copy_thread(thread_id: ThreadId, threads: ThreadsDep) -> Response:
    copied = await threads.copy(str(thread_id))
    return json_response(_to_json(await threads.filled(copied)))


def _section(section: Section) -> StorageSection:
    return StorageSection(rows=section.rows, bytes=section.bytes)


def _to_json(found: Found) -> dict[str, Any]:
    thread = found.thread
    return {
        "thread_id": thread.thread_id,
        "created_at": thread.created_at,
        "updated_at": thread.updated_at,
        "state_updated_at": thread.state_updated_at,
        "metadata": thread.metadata,
        "status": thread.status,
        "config": thread.config,
        "values": found.values,
        "interrupts": thread.interrupts,
        "error": thread.error,
    }


def _selected(
    found: Found, select: Sequence[str] | None, extract: dict[str, str] | None
) -> dict[str, Any]:
    document = _to_json(found)
    shown = {name: each for name, each in document.items() if not select or name in select}
    if extract:
        plain = jsonable(document)
        shown["extracted"] = {
            name: follow(parse_path(path), plain) for name, path in extract.items()
        }
    return shown


def _lifetime(thread: Thread) -> dict[str, Any]:
    if thread.ttl is None:
        return {}
    return {
        "ttl": {
            "strategy": thread.ttl["strategy"],
            "ttl_minutes": thread.ttl["ttl"],
            "expires_at": thread.ends_at,
        }
    }
