"""What operators and their machines ask: are you there, are you ready, what are you."""

import asyncio
from typing import Protocol

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from everturn.checkpoints.errors import StoreUnavailable
from everturn.server.api.http.deps import Info, InfoDep, RunsDep, ThreadsDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.strict_json import Router
from everturn.server.errors import ShuttingDown

router = Router(tags=["system"])


class Page(Protocol):
    """What browsers are shown at `/`."""

    async def at_root(self, request: Request) -> Response | None:
        """Return the page to a browser; None where something else is wanted."""
        ...


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


@router.head("/", include_in_schema=False)
@router.get(
    "/",
    summary="Health, and the page",
    description="The same as /ok: some clients and load balancers ask here. To a browser, which "
    "prefers `text/html`, it is the page, unless `EVERTURN_PAGE` is off.",
    responses={200: {"content": {"text/html": {}}}},
    response_model=dict[str, bool],
)
async def root(request: Request) -> Response:
    page: Page | None = request.app.state.page
    if page is None:
        return JSONResponse({"ok": True})
    return await page.at_root(request) or JSONResponse({"ok": True}, headers={"Vary": "Accept"})


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
