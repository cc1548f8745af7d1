"""What is kept of a user, as a file; and its end."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from everturn.server.api.http.deps import UsersDep
from everturn.server.api.http.json import dumps
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import Name

router = Router(prefix="/api/users", tags=["users"])

User = Annotated[
    Name,
    Query(
        min_length=1,
        description="The user's identity, as the project's `auth` gives it: the `owner` in the "
        "metadata of threads and assistants, a label in namespaces of the store.",
    ),
]
_LINES = "application/x-ndjson"


class Erased(BaseModel):
    """How much was deleted."""

    threads: int = Field(description="With their checkpoints, runs, streams and history.")
    crons: int
    assistants: int
    store_items: int
    api_keys: int


@router.get(
    "/export",
    summary="Export a user",
    description="All that is kept of a user, one JSON object a line, whose `kind` says what it is: "
    "`thread` (with its values), `turn`, `run`, `cron`, `assistant` or `store_item`. With "
    "keys of the service or tokens only operators may, with the permission `admin`; by an `auth` "
    "of the project callers export themselves only.",
    response_class=StreamingResponse,
    responses={
        200: {"content": {_LINES: {"schema": {"type": "string"}}}},
        **problems(404, 503),
    },
)
async def export_user(user: User, users: UsersDep) -> StreamingResponse:
    found = await users.export(user)
    headers = {"Content-Disposition": 'attachment; filename="user.jsonl"'}
    return StreamingResponse(_lines(found), media_type=_LINES, headers=headers)


@router.delete(
    "",
    summary="Forget a user",
    description="Deletes all that is kept of a user: threads with their checkpoints, runs, "
    "streams and history, crons, assistants, items of the store, and keys. What runs is cancelled "
    "first. With keys of the service or tokens only operators may, with the permission `admin`; by "
    "an `auth` of the project callers forget themselves only.",
    responses=problems(404, 409, 503),
)
async def forget_user(user: User, users: UsersDep) -> Erased:
    return Erased(**(await users.forget(user))._asdict())


async def _lines(found: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    async for each in found:
        yield dumps(each) + b"\n"
