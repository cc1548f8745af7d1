"""Crons of the Agent Server API: what LangGraph's clients call `client.crons`."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Request, Response
from pydantic import AfterValidator, BaseModel, Field

from everturn.checkpoints.sql.crons import COLUMNS, Cron, Filter, SortBy, SortOrder
from everturn.server.api.agent_server.bodies import (
    SELECTED,
    AssistantId,
    Responses,
    json_response,
    page_headers,
)
from everturn.server.api.agent_server.run_body import RunBody
from everturn.server.api.http.deps import AssistantsDep, CronsDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import Few, Name, Wanted
from everturn.server.errors import AssistantNotFound
from everturn.server.runs.crons import CronRequest, payload_as_json

router = Router(tags=["crons"])

_MAX = 1000
_LONGEST_ZONE = 100
_Completion = Literal["delete", "keep"]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("lies outside of the years 1 to 9999 in UTC") from None


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""One without a time zone is in UTC."""
Field_ = Literal[
    "cron_id",
    "assistant_id",
    "thread_id",
    "user_id",
    "end_time",
    "schedule",
    "timezone",
    "created_at",
    "updated_at",
    "payload",
    "next_run_date",
    "metadata",
    "enabled",
    "on_run_completed",
]


class CronBody(RunBody):
    """A run as `/runs` takes it, and when it starts."""

    schedule: str = Field(description="As crontab(5) writes it: 30 8 * * 1-5", max_length=200)
    timezone: str | None = Field(
        default=None, max_length=_LONGEST_ZONE, description="IANA name; UTC without."
    )
    end_time: Moment | None = Field(default=None, description="No run begins after it.")
    enabled: bool = True
    on_run_completed: _Completion | None = Field(
        default=None, description="What becomes of a run's own thread; without: delete."
    )

    def cron(self, thread_id: UUID | None) -> CronRequest:
        """Put it in the engine's words."""
        return CronRequest(
            schedule=self.schedule,
            run=self.request(thread_id),
            timezone=self.timezone,
            end_time=self.end_time,
            enabled=self.enabled,
            on_run_completed=self.on_run_completed,
        )


class CronChange(RunBody):
    """What changes from now on; what is left out stays."""

    assistant_id: Name = ""
    schedule: str | None = Field(default=None, max_length=200)
    timezone: str | None = Field(default=None, max_length=_LONGEST_ZONE)
    end_time: Moment | None = None
    enabled: bool | None = None
    on_run_completed: _Completion | None = None


class CronSearch(BaseModel):
    """Which crons, and which page of them."""

    assistant_id: AssistantId | None = None
    thread_id: UUID | None = None
    enabled: bool | None = None
    metadata: Wanted = Field(default_factory=dict)
    limit: int = Field(default=10, ge=1, le=_MAX)
    offset: int = Field(default=0, ge=0, le=2**31)
    sort_by: SortBy = "created_at"
    sort_order: SortOrder = "desc"
    select: Few[Field_] | None = Field(default=None, description="None is all.")


class CronCount(BaseModel):
    """Which crons."""

    assistant_id: AssistantId | None = None
    thread_id: UUID | None = None
    metadata: Wanted = Field(default_factory=dict)


class CronModel(BaseModel):
    """A run that starts again and again."""

    cron_id: str
    assistant_id: str
    thread_id: str | None = Field(description="None: each run has a thread of its own.")
    user_id: str | None
    schedule: str
    timezone: str | None
    payload: dict[str, Any] = Field(description="What is asked of each run.")
    metadata: dict[str, Any]
    enabled: bool
    on_run_completed: _Completion | None
    end_time: datetime | None
    next_run_date: datetime | None = Field(description="None: no run will begin.")
    created_at: datetime
    updated_at: datetime


class SelectedCron(CronModel):
    """A cron, or the fields of it that were selected."""

    model_config = SELECTED


_CRON: Responses = {200: {"description": "The cron", "model": CronModel}}


@router.post(
    "/runs/crons",
    summary="Run again and again",
    description="Each run has a thread of its own. What was due while the service did not run "
    "begins once, at its start.",
    response_class=Response,
    responses={**_CRON, **problems(400, 404, 503)},
)
async def create_cron(body: CronBody, crons: CronsDep) -> Response:
    return json_response(_to_json(await crons.create(body.cron(None))))


@router.post(
    "/threads/{thread_id}/runs/crons",
    summary="Run again and again on a thread",
    description="As without one; the thread must be there.",
    response_class=Response,
    responses={**_CRON, **problems(400, 404, 503)},
)
async def create_cron_on_thread(thread_id: UUID, body: CronBody, crons: CronsDep) -> Response:
    return json_response(_to_json(await crons.create(body.cron(thread_id))))


@router.post(
    "/runs/crons/search",
    summary="Search crons",
    description="By assistant, thread and metadata; the newest first unless asked otherwise.",
    response_class=Response,
    responses={200: {"model": list[SelectedCron]}, **problems(503)},
)
async def search_crons(body: CronSearch, crons: CronsDep, assistants: AssistantsDep) -> Response:
    found = await crons.search(
        await _filter(body, assistants, enabled=body.enabled),
        limit=body.limit + 1,
        offset=body.offset,
        sort_by=body.sort_by,
        sort_order=body.sort_order,
        without={"payload", "metadata"} - set(body.select) if body.select else (),
    )
    page, more = found[: body.limit], len(found) > body.limit
    return json_response(
        [_to_json(each, body.select) for each in page],
        headers=page_headers(body.offset, len(page), more=more),
    )


@router.post(
    "/runs/crons/count",
    summary="Count crons",
    description="Those that a search would find.",
    response_class=Response,
    responses={200: {"description": "How many", "model": int}, **problems(503)},
)
async def count_crons(body: CronCount, crons: CronsDep, assistants: AssistantsDep) -> Response:
    return json_response(await crons.count(await _filter(body, assistants)))


@router.get(
    "/runs/crons/{cron_id}",
    summary="Get a cron",
    description="As it stands, with the moment of its next run.",
    response_class=Response,
    responses={**_CRON, **problems(400, 404, 503)},
)
async def get_cron(cron_id: UUID, crons: CronsDep) -> Response:
    return json_response(_to_json(await crons.get(str(cron_id))))


@router.patch(
    "/runs/crons/{cron_id}",
    summary="Change a cron",
    description="What is left out stays; `end_time` null takes the end away.",
    response_class=Response,
    responses={**_CRON, **problems(400, 404, 503)},
)
async def change_cron(
    cron_id: UUID, body: CronChange, request: Request, crons: CronsDep
) -> Response:
    given = body.model_fields_set
    own = ("schedule", "timezone", "enabled", "on_run_completed", "metadata", "end_time")
    columns = {name: getattr(body, name) for name in own if name in given}
    if "end_time" in (asked := await request.json()) and asked["end_time"] is None:
        columns["end_time"] = None
    run = body.request(None).kwargs()
    renamed = {"stream_subgraphs": "subgraphs", "stream_resumable": "resumable"}
    names = {renamed.get(name, name) for name in given}
    changed = {name: value for name, value in run.items() if name in names}
    return json_response(_to_json(await crons.change(str(cron_id), columns, changed)))


@router.delete(
    "/runs/crons/{cron_id}",
    summary="Delete a cron",
    description="The runs that it has started go on.",
    status_code=204,
    response_class=Response,
    responses=problems(404, 503),
)
async def delete_cron(cron_id: UUID, crons: CronsDep) -> None:
    await crons.delete(str(cron_id))


async def _filter(
    body: CronSearch | CronCount, assistants: AssistantsDep, enabled: bool | None = None
) -> Filter:
    wanted = body.assistant_id
    if wanted:
        with suppress(AssistantNotFound):  # then there is no cron of it
            wanted = (await assistants.resolve(wanted)).assistant_id
    return Filter(
        assistant_id=wanted or None,
        thread_id=str(body.thread_id) if body.thread_id else None,
        enabled=enabled,
        metadata=body.metadata,
    )


def _to_json(cron: Cron, select: Sequence[str] | None = None) -> dict[str, Any]:
    whole = {**{name: getattr(cron, name) for name in COLUMNS}, "user_id": _user_id(cron)}
    whole["payload"] = payload_as_json(cron)
    return {name: value for name, value in whole.items() if not select or name in select}


def _user_id(cron: Cron) -> str | None:
    return cron.caller["identity"] if cron.caller else None
