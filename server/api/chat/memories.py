"""What is remembered of a user from one conversation to the next: to be read, changed, deleted."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from everturn.server.api.http.deps import MemoriesDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import Name, Storable
from everturn.server.resources.memories import Memory as AnyMemory

router = Router(prefix="/api/memories", tags=["memories"])

_MAX = 100
_LINES = "application/x-ndjson"

Kind = Literal["fact", "preference", "person", "plan"]
User = Annotated[
    Name | None,
    Query(
        description="One of the caller's own users, as in the `user` of a run's context; none: the "
        "caller."
    ),
]
Text = Annotated[str, Field(min_length=1, max_length=20_000), Storable]


class Memory(BaseModel):
    """Something that is known of a user."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    text: str
    kind: Kind
    thread_id: str | None = Field(description="Where it was said, as far as that is known.")
    created_at: datetime
    updated_at: datetime
    score: float | None = Field(
        default=None, description="How well it meets the query; null: it was not compared."
    )


class MemoryList(BaseModel):
    """A page of memories."""

    memories: list[Memory]


class NewMemory(BaseModel):
    """Something to be remembered."""

    model_config = ConfigDict(extra="forbid")

    text: Text
    kind: Kind = "fact"


class Remembered(BaseModel):
    """A memory, and what became of it."""

    memory: Memory
    change: Literal["new", "changed", "known"] = Field(
        description="`changed`: nearly the same was known, and has the new text now."
    )


class ChangedMemory(BaseModel):
    """What is to be another; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    text: Text | None = None
    kind: Kind | None = None


class Deleted(BaseModel):
    """How many memories were deleted."""

    deleted: int


@router.get(
    "",
    summary="List memories",
    description="The latest first; with a `query` those that meet it come first, by meaning and by "
    "words, and the others behind them without a `score`.",
    responses=problems(422, 503),
)
async def list_memories(
    memories: MemoriesDep,
    user: User = None,
    query: Annotated[Name, Query(description="What to look for, in any language.")] = "",
    limit: Annotated[int, Query(ge=1, le=_MAX)] = 20,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> MemoryList:
    found = await memories.list(user, query, limit=limit, offset=offset)
    return MemoryList(memories=[_shown(each) for each in found])


@router.post(
    "",
    summary="Remember something",
    description="As the tool `remember` does: what is nearly the same as a memory takes its place.",
    responses=problems(409, 422, 503),
)
async def add_memory(body: NewMemory, memories: MemoriesDep, user: User = None) -> Remembered:
    kept = await memories.add(user, body.text, body.kind)
    return Remembered.model_validate({"memory": _shown(kept.memory), "change": kept.change})


@router.get(
    "/export",
    summary="Export memories",
    description="All of them as a file, one JSON object a line.",
    response_class=StreamingResponse,
    responses={
        200: {"content": {_LINES: {"schema": {"type": "string"}}}},
        **problems(503),
    },
)
async def export_memories(memories: MemoriesDep, user: User = None) -> StreamingResponse:
    found = await memories.export(user)
    headers = {"Content-Disposition": 'attachment; filename="memories.jsonl"'}
    return StreamingResponse(_lines(found), media_type=_LINES, headers=headers)


@router.delete(
    "",
    summary="Forget everything",
    description="Deletes all memories of the user.",
    responses=problems(422, 503),
)
async def delete_memories(
    memories: MemoriesDep,
    confirm: Annotated[Literal["all"], Query(description="Says that it is meant.")],
    user: User = None,
) -> Deleted:
    return Deleted(deleted=await memories.delete_all(user))


@router.get(
    "/{memory_id}",
    summary="Get a memory",
    description="Its text, its kind, where it was said, and when it was made and changed.",
    responses=problems(404, 503),
)
async def get_memory(memory_id: str, memories: MemoriesDep, user: User = None) -> Memory:
    return _shown(await memories.get(user, memory_id))


@router.patch(
    "/{memory_id}",
    summary="Change a memory",
    description="Gives it another text or kind; it keeps its id and the time it was made.",
    responses=problems(404, 422, 503),
)
async def change_memory(
    memory_id: str, body: ChangedMemory, memories: MemoriesDep, user: User = None
) -> Memory:
    return _shown(await memories.change(user, memory_id, body.text, body.kind))


@router.delete(
    "/{memory_id}",
    summary="Forget a memory",
    description="Deletes it; no search finds it from then on.",
    status_code=204,
    response_class=Response,
    responses=problems(404, 503),
)
async def delete_memory(memory_id: str, memories: MemoriesDep, user: User = None) -> None:
    await memories.delete(user, memory_id)


def _shown(memory: AnyMemory) -> Memory:
    return Memory.model_validate(memory)


async def _lines(found: AsyncIterator[AnyMemory]) -> AsyncIterator[str]:
    async for each in found:
        yield _shown(each).model_dump_json(exclude={"score"}) + "\n"
