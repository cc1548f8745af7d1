"""Runs on threads of their own, found again: where the headers of their answers lead."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from fastapi import Request, Response
from starlette.responses import StreamingResponse

from everturn.server.api.agent_server.bodies import json_response
from everturn.server.api.agent_server.run_answers import (
    FINAL,
    Leaving,
    SelectedRun,
    as_json,
    run_places,
    waited,
)
from everturn.server.api.http.deps import RunsDep
from everturn.server.api.http.json import dumps
from everturn.server.api.http.problems import problems
from everturn.server.api.http.sse import was_dropped
from everturn.server.api.http.strict_json import Router
from everturn.server.runs.run import Run
from everturn.server.streams.feed import BEGINNING
from everturn.server.streams.logged import LoggedRun

router = Router(tags=["runs"])


@router.get(
    "/runs/{run_id}",
    summary="Get a run on a thread of its own",
    description="As a run on a thread while it is under way; then its id and status, as long as "
    "its events are kept.",
    response_class=Response,
    responses={
        200: {"model": SelectedRun},
        **problems(404, 503),
    },
)
async def get_stateless_run(run_id: UUID, runs: RunsDep) -> Response:
    run = await runs.find_stateless(str(run_id))
    if isinstance(run, LoggedRun):
        return json_response({"run_id": run.run_id, "status": run.status})
    return as_json(run.row if isinstance(run, Run) else run)


@router.get(
    "/runs/{run_id}/join",
    summary="Wait for a run on a thread of its own",
    description="Returns the state in which it ended, as long as its events are kept; null where "
    "`values` was not among its stream modes. Line breaks before it keep the connection alive.",
    response_class=Response,
    responses={**FINAL, **problems(404, 503)},
)
async def join_stateless_run(
    run_id: UUID, request: Request, runs: RunsDep, cancel_on_disconnect: Leaving = False
) -> Response:
    run = await runs.find_stateless(str(run_id))
    if isinstance(run, Run):
        return await waited(runs, run, request, ends_it=cancel_on_disconnect)
    where = run_places(str(run_id), None, "/join")
    if isinstance(run, LoggedRun) and run.ended:
        return json_response(run.state, where)

    async def body() -> AsyncIterator[bytes]:
        left = cancel_on_disconnect
        try:
            async with aclosing(await runs.follow(str(run_id), None, BEGINNING)) as events:
                async for _ in events:
                    yield b"\n"
            left = False
            yield dumps((await runs.logged(str(run_id))).state)
        finally:
            if left and not was_dropped(request):
                runs.leave(str(run_id), None)

    return StreamingResponse(body(), media_type="application/json", headers=where)
