"""The deliveries of webhooks: what waits for its receiver, what arrived, and dead letters."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, Field

from everturn.checkpoints.sql.webhooks import Filter, Status
from everturn.server.api.http.deps import DeliveriesDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router

router = Router(prefix="/api/webhooks", tags=["webhooks"])

_MAX = 1000


class WebhookDelivery(BaseModel):
    """One webhook: the report of the end of a run, and how it fared."""

    run_id: str = Field(description="The run it reports; `webhook-id` is `msg_` and this.")
    thread_id: str
    status: Status = Field(
        description="`pending`: it is sent, or will be; `delivered`: its receiver answered 2xx; "
        "`dead`: it was sent for three days, and is sent no more unless you ask."
    )
    url: str = Field(description="Where it goes; of what may hold a token only the host.")
    attempts: int = Field(description="How often it was sent.")
    error: str | None = Field(description="What the last attempt failed with.")
    due_at: datetime | None = Field(description="When it is sent next; null: never.")
    created_at: datetime
    updated_at: datetime


class SentAgain(BaseModel):
    """How many webhooks are sent again."""

    count: int


@router.get(
    "",
    summary="List webhooks",
    description="Those that wait, those delivered lately, and dead letters; the newest first. "
    "How long they are kept: EVERTURN_KEEP_DELIVERED and EVERTURN_KEEP_DEAD_LETTERS.",
    responses=problems(503),
)
async def list_webhooks(
    deliveries: DeliveriesDep,
    status: Annotated[Status | None, Query(description="None is any.")] = None,
    thread_id: Annotated[UUID | None, Query(description="Of runs on this thread.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MAX)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**63 - 1 - _MAX)] = 0,
) -> list[WebhookDelivery]:
    wanted = Filter(status=status, thread_id=str(thread_id) if thread_id else None)
    found = await deliveries.search(wanted, limit=limit, offset=offset)
    return [WebhookDelivery.model_validate(each, from_attributes=True) for each in found]


@router.post(
    "/send",
    summary="Send all dead letters again",
    description="At once, and for three days more: for when a receiver is back.",
    responses=problems(503),
)
async def send_dead_letters(deliveries: DeliveriesDep) -> SentAgain:
    return SentAgain(count=await deliveries.send_dead())


@router.post(
    "/{run_id}/send",
    summary="Send a webhook again",
    description="At once, whether it is a dead letter or waits for its next attempt, under the "
    "same `webhook-id`. One that was delivered is 409: its content is kept no longer.",
    status_code=204,
    response_class=Response,
    responses=problems(404, 409, 503),
)
async def send_webhook(run_id: UUID, deliveries: DeliveriesDep) -> None:
    await deliveries.send(str(run_id))


@router.delete(
    "/{run_id}",
    summary="Delete a webhook",
    description="It is sent no more.",
    status_code=204,
    response_class=Response,
    responses=problems(404, 503),
)
async def delete_webhook(run_id: UUID, deliveries: DeliveriesDep) -> None:
    await deliveries.delete(str(run_id))
