"""What operators and their machines ask: are you there, are you ready, what are you."""

import asyncio

from everturn.checkpoints.errors import StoreUnavailable
from everturn.server.api.http.deps import Info, InfoDep, RunsDep, ThreadsDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router
from everturn.server.errors import ShuttingDown

router = Router(tags=["system"])

_PROMPT_SECONDS = 1.8
"""What asks whether a service is ready is impatient, however many wait for a connection."""


@router.head("/ok", include_in_schema=False)  # what load balancers like to ask
@router.get(
    "/ok",
    summary="Liveness",
    description="Answers as long as the process does; asks nothing of Redis or the database.",
)
async def ok() -> dict[str, bool]:
    return {"ok": True}


@router.get(
    "/",
    summary="Health",
    description="The same as /ok: some clients and load balancers ask here.",
)
async def root() -> dict[str, bool]:
    return {"ok": True}


@router.get(
    "/ready",
    summary="Readiness",
    description="Answers 200 when memory and history can be reached and the service is not about "
    "to end, 503 otherwise.",
    responses=problems(503),
)
async def ready(threads: ThreadsDep, runs: RunsDep) -> dict[str, bool]:
    if runs.leaving:
        raise ShuttingDown("The service is being stopped or restarted.")
    try:
        async with asyncio.timeout(_PROMPT_SECONDS):
            await threads.reachable()
    except TimeoutError:
        raise StoreUnavailable(
            f"Memory or history gave no answer within {_PROMPT_SECONDS:g} s: see their servers."
        ) from None
    return {"ready": True}


@router.get(
    "/info", summary="About this service", description="Version, graphs, models, and its stores."
)
async def info(info: InfoDep) -> Info:
    return info
