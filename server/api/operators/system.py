"""What operators and their machines ask: are you there, are you ready, what are you."""

import asyncio
from typing import cast

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from everturn.checkpoints.errors import StoreUnavailable
from everturn.server.api.http.deps import HistoryDep, MetricsDep, SessionsDep
from everturn.server.api.http.problems import problems

router = APIRouter(tags=["system"])

API_VERSION = "0.16.7"
"""The version of LangGraph's server whose API this is: clients look at it for what they may use."""

_PROMPT_SECONDS = 1.8
"""What asks whether a service is ready is impatient, however many wait for a connection."""


class Info(BaseModel):
    """What this service is and serves."""

    name: str = "everturn"
    version: str = Field(
        default=API_VERSION, description="Of LangGraph's server whose API this speaks."
    )
    everturn_version: str
    langgraph_py_version: str
    flags: dict[str, bool] = Field(
        default={"assistants": True, "crons": True, "langsmith": False},
        description="What clients of the Agent Server API may use.",
    )
    graphs: list[str] = Field(description="The graphs that can be run.")
    models: list[str] = Field(description="The models that can be asked, in order.")
    memory: str = Field(description="Where sessions live: `embedded` or `redis`.")
    history: str = Field(description="Where history lives: `sqlite` or `postgresql`.")


@router.head("/ok", include_in_schema=False)  # what load balancers like to ask
@router.get(
    "/ok",
    summary="Liveness",
    description="Answers as long as the process does; asks nothing of Redis or the database.",
)
async def ok() -> dict[str, bool]:
    return {"ok": True}


@router.get(
    "/ready",
    summary="Readiness",
    description="Answers 200 when memory and history can be reached, 503 otherwise.",
    responses=problems(503),
)
async def ready(sessions: SessionsDep, history: HistoryDep) -> dict[str, bool]:
    try:
        async with asyncio.timeout(_PROMPT_SECONDS):
            await asyncio.gather(sessions.list(1, 0), history.exists(""))
    except TimeoutError:
        raise StoreUnavailable(
            f"Memory or history gave no answer within {_PROMPT_SECONDS:g} s: see their servers."
        ) from None
    return {"ready": True}


@router.get(
    "/info", summary="About this service", description="Version, graphs, models, and its stores."
)
async def info(request: Request) -> Info:
    return cast("Info", request.app.state.info)


@router.get(
    "/metrics",
    summary="Metrics",
    description="All figures in the Prometheus text format.",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
async def metrics(metrics: MetricsDep) -> Response:
    return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")
