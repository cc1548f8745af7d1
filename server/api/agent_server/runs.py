"""The runs of LangGraph's Agent Server API: on threads, and on threads of their own."""

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Header, Query, Request, Response
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    model_validator,
)
from starlette.responses import StreamingResponse

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.sql.runs import RunStatus
from everturn.server.api.agent_server.bodies import json_response
from everturn.server.api.agent_server.run_answers import (
    EVENTS,
    FINAL,
    RUN,
    Leaving,
    RunModel,
    SelectedRun,
    all_started,
    as_json,
    joined,
    run_places,
    started,
    streamed,
    waited,
)
from everturn.server.api.agent_server.run_body import RunBody
from everturn.server.api.agent_server.state_json import state_as_json
from everturn.server.api.http.deps import RunsDep, ThreadsDep
from everturn.server.api.http.hang_up import hang_up
from everturn.server.api.http.idempotency import AfterDep, KeyDep
from everturn.server.api.http.json import dumps
from everturn.server.api.http.problems import problems
from everturn.server.api.http.sse import EventStream, feed_frames, was_dropped, while_let_in
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import MAX_FEW, Many, at_most
from everturn.server.errors import RunNotFound, StateUnreadable
from everturn.server.runs.run import CancelAction, Run
from everturn.server.streams.modes import StreamMode
from everturn.server.streams.moved import Moved
from everturn.server.streams.thread import Place, ThreadMode

router = Router(tags=["runs"])


AfterEvent = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="The last event that was got; -1: none.",
    ),
]
RunField = Literal[
    "run_id",
    "thread_id",
    "assistant_id",
    "status",
    "metadata",
    "kwargs",
    "multitask_strategy",
    "created_at",
    "updated_at",
]


def _listed(names: list[str] | None) -> Any:
    """Take no names for none, and a list in JSON for the list: clients send both."""
    named = [name for name in names or () if name]
    if len(named) == 1 and named[0].startswith("["):
        with suppress(ValueError):  # else it is refused as the name it is not
            named = orjson.loads(named[0])
    return named or None


OnlyModes = Annotated[
    list[StreamMode] | None,
    at_most(MAX_FEW),
    BeforeValidator(_listed),
    Query(alias="stream_mode", description="Of the modes of the run only these, and no metadata."),
]


_WAITS = (
    "Runs to the end and returns the final state, with `__interrupt__` when it waits for something "
    "and `__error__` when it failed. Line breaks before it keep the connection alive."
)
_STREAMS = (
    "Server-sent events: `metadata` first, then the stream modes asked for, `error` when it fails. "
    "With `stream_resumable` every event has an id to come back with."
)


@router.post(
    "/threads/{thread_id}/runs/wait",
    summary="Run on a thread and wait",
    description=_WAITS,
    response_class=Response,
    responses={**FINAL, **problems(400, 404, 409, 503)},
)
async def wait_on_thread(
    thread_id: UUID, body: RunBody, request: Request, runs: RunsDep, key: KeyDep
) -> Response:
    started = await runs.create(body.request(thread_id, "/runs/wait"), key=key)
    return await waited(runs, started, request)


@router.post(
    "/runs/wait",
    summary="Run and wait",
    description=_WAITS,
    response_class=Response,
    responses={**FINAL, **problems(400, 404, 409, 503)},
)
async def wait_stateless(body: RunBody, request: Request, runs: RunsDep, key: KeyDep) -> Response:
    started = await runs.create(body.request(None, "/runs/wait"), key=key)
    return await waited(runs, started, request)


@router.post(
    "/threads/{thread_id}/runs/stream",
    summary="Run on a thread and stream",
    description=_STREAMS,
    response_class=StreamingResponse,
    responses={**EVENTS, **problems(400, 404, 409, 503)},
)
async def stream_on_thread(
    thread_id: UUID, body: RunBody, request: Request, runs: RunsDep, key: KeyDep, after: AfterDep
) -> EventStream:
    started = await runs.create(body.request(thread_id, "/runs/stream"), key=key)
    return streamed(request, runs, started, after)


@router.post(
    "/runs/stream",
    summary="Run and stream",
    description=_STREAMS,
    response_class=StreamingResponse,
    responses={**EVENTS, **problems(400, 404, 409, 503)},
)
async def stream_stateless(
    body: RunBody, request: Request, runs: RunsDep, key: KeyDep, after: AfterDep
) -> EventStream:
    started = await runs.create(body.request(None, "/runs/stream"), key=key)
    return streamed(request, runs, started, after)


@router.post(
    "/threads/{thread_id}/runs",
    summary="Run on a thread in the background",
    description="Returns the run as soon as it is written down.",
    response_class=Response,
    responses={**RUN, **problems(400, 404, 409, 503)},
)
async def start_on_thread(thread_id: UUID, body: RunBody, runs: RunsDep, key: KeyDep) -> Response:
    return await started(runs, body.request(thread_id), key)


@router.post(
    "/runs",
    summary="Run in the background",
    description="Returns the run at once. Its thread goes with it, unless `on_completion` is keep.",
    response_class=Response,
    responses={**RUN, **problems(400, 404, 409, 503)},
)
async def start_stateless(body: RunBody, runs: RunsDep, key: KeyDep) -> Response:
    return await started(runs, body.request(None), key)


@router.post(
    "/runs/batch",
    summary="Run several in the background",
    description="Returns the runs in the order they were asked for.",
    response_class=Response,
    responses={200: {"model": list[RunModel]}, **problems(400, 404, 409, 503)},
)
async def start_batch(
    bodies: Annotated[Many[RunBody], Field(min_length=1)], runs: RunsDep, key: KeyDep
) -> Response:
    return await all_started(runs, [body.request(None) for body in bodies], key)


@router.get(
    "/threads/{thread_id}/runs",
    summary="List the runs of a thread",
    description="Newest first.",
    response_class=Response,
    responses={200: {"model": list[SelectedRun]}, **problems(404, 503)},
)
async def list_runs(
    thread_id: UUID,
    runs: RunsDep,
    threads: ThreadsDep,
    limit: Annotated[int, Query(ge=0, le=10_000)] = 10,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    status: RunStatus | None = None,
    select: Annotated[
        list[RunField] | None,
        at_most(MAX_FEW),
        BeforeValidator(_listed),
        Query(description="Only these fields."),
    ] = None,
) -> Response:
    # Metadata names the graph, which `kwargs` say.
    unread = {"metadata", "kwargs"} - set(select) if select and "kwargs" not in select else ()
    page = await runs.of_thread(
        str(thread_id), limit=limit, offset=offset, status=status, without=unread
    )
    if not page:
        await threads.row(str(thread_id))  # raises where there is no thread
    if select is None:
        return as_json(page)
    return json_response([run.to_json(select) for run in page])


@router.get(
    "/threads/{thread_id}/runs/{run_id}",
    summary="Get a run",
    description="How it stands, and what was asked.",
    response_class=Response,
    responses={**RUN, **problems(404, 503)},
)
async def get_run(thread_id: UUID, run_id: UUID, runs: RunsDep) -> Response:
    return as_json(await runs.get(str(run_id), str(thread_id)))


@router.delete(
    "/threads/{thread_id}/runs/{run_id}",
    summary="Delete a run",
    description="A run that is under way is cancelled first.",
    status_code=204,
    response_class=Response,
    responses=problems(404, 503),
)
async def delete_run(thread_id: UUID, run_id: UUID, runs: RunsDep) -> None:
    await runs.delete(str(run_id), str(thread_id))


@router.get(
    "/threads/{thread_id}/runs/{run_id}/join",
    summary="Wait for a run",
    description=_WAITS,
    response_class=Response,
    responses={**FINAL, **problems(404, 503)},
)
async def join_run(
    thread_id: UUID,
    run_id: UUID,
    request: Request,
    runs: RunsDep,
    cancel_on_disconnect: Leaving = False,
) -> Response:
    run = await runs.find(str(run_id), str(thread_id))
    if isinstance(run, Run):
        return await waited(runs, run, request, ends_it=cancel_on_disconnect)

    async def body() -> AsyncIterator[bytes]:
        left = cancel_on_disconnect
        try:
            async with aclosing(runs.ended(run)) as waiting:
                async for _ in waiting:
                    yield b"\n"
            left, row = False, run
            with suppress(RunNotFound):  # deleted meanwhile
                row = await runs.get(str(run_id), str(thread_id))
            yield dumps(await runs.final_state(row))
        except Moved:  # `Location` says where the client goes on
            left = False
            hang_up(request.scope)
        except StoreUnavailable:  # the same, and the run goes on
            left = False
            if not hang_up(request.scope):
                raise
        finally:
            if left and not was_dropped(request):
                runs.leave(str(run_id), str(thread_id))

    where = run_places(str(run_id), str(thread_id), "/join")
    return StreamingResponse(body(), media_type="application/json", headers=where)


@router.get(
    "/threads/{thread_id}/runs/{run_id}/stream",
    summary="Join the stream of a run",
    description="What it streams from now on; with `Last-Event-ID` all after that event, and with "
    "`-1` all of it. A `gap` event says that some are no longer kept.",
    response_class=StreamingResponse,
    responses={**EVENTS, **problems(404, 503)},
)
async def join_stream(
    thread_id: UUID,
    run_id: UUID,
    request: Request,
    runs: RunsDep,
    last_event_id: AfterEvent = None,
    only: OnlyModes = None,
    cancel_on_disconnect: Leaving = False,
) -> EventStream:
    place = str(run_id), str(thread_id)
    return await joined(request, runs, *place, last_event_id, only, ends_it=cancel_on_disconnect)


@router.get(
    "/runs/{run_id}/stream",
    summary="Join the stream of a run on a thread of its own",
    description="As on a thread.",
    response_class=StreamingResponse,
    responses={**EVENTS, **problems(404, 503)},
)
async def join_stateless_stream(
    run_id: UUID,
    request: Request,
    runs: RunsDep,
    last_event_id: AfterEvent = None,
    only: OnlyModes = None,
    cancel_on_disconnect: Leaving = False,
) -> EventStream:
    place = str(run_id), None
    return await joined(request, runs, *place, last_event_id, only, ends_it=cancel_on_disconnect)


@router.get(
    "/threads/{thread_id}/stream",
    summary="Follow a thread",
    description="What all its runs stream from now on, or after `Last-Event-ID`; `-` is all that "
    "is kept. `lifecycle` is the beginning and end of each run, `state_update` each edit of the "
    "state. It ends when the thread is deleted, or the key that was sent works no more.",
    response_class=StreamingResponse,
    responses={**EVENTS, **problems(404, 503)},
)
async def follow_thread(
    thread_id: UUID,
    request: Request,
    runs: RunsDep,
    threads: ThreadsDep,
    stream_modes: Annotated[list[ThreadMode] | None, at_most(MAX_FEW), Query()] = None,
    stream_mode: Annotated[list[ThreadMode] | None, at_most(MAX_FEW), Query()] = None,
    last_event_id: AfterEvent = None,
) -> EventStream:
    after = Place.parse(last_event_id) if last_event_id else None
    thread = await threads.row(str(thread_id))

    async def state() -> bytes:
        try:
            found = await threads.states.read(await threads.row(thread.thread_id))
        except StateUnreadable as error:
            return dumps({"state": state_as_json(None), "error": str(error)})
        return dumps({"state": state_as_json(found)})

    modes = stream_modes or stream_mode or ["run_modes"]
    events = await runs.follow_thread(thread.thread_id, after, modes, state)
    # A client that is cut off as the process ends comes back here.
    here = f"/threads/{thread.thread_id}/stream?{request.url.query}".rstrip("?")
    written = while_let_in(request, feed_frames(events, with_ids=True))
    return EventStream(request, written, headers={"Location": here})


@router.post(
    "/threads/{thread_id}/runs/{run_id}/cancel",
    summary="Cancel a run",
    description="`interrupt` keeps what it has done, `rollback` undoes it and deletes the run. "
    "With `wait` the answer comes at its end, with the state that it left.",
    response_class=Response,
    responses={
        **FINAL,
        202: {"description": "It is asked to end"},
        **problems(404, 503),
    },
)
async def cancel_run(
    thread_id: UUID,
    run_id: UUID,
    runs: RunsDep,
    wait: bool = False,
    action: CancelAction = "interrupt",
) -> Response:
    place = str(run_id), str(thread_id)
    run = await runs.find(*place)
    await runs.cancel([str(run_id)], str(thread_id), action, wait=wait)
    if not wait:
        return Response(status_code=202)
    if action == "rollback":  # the run is gone: nothing to go on with, and nothing to show
        return Response(b"{}", media_type="application/json")
    state = run.final_state if isinstance(run, Run) else await runs.final_state(run)
    return json_response(state, run_places(*place, "/join"))


class CancelBody(BaseModel):
    """Which runs to cancel: those named, or all that stand so."""

    status: Literal["pending", "running", "all"] | None = None
    thread_id: UUID | None = None
    run_ids: Many[UUID] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> "CancelBody":
        if (self.status is None) == (self.thread_id is None or self.run_ids is None):
            raise ValueError("give either `status`, or `thread_id` and `run_ids`")
        return self


@router.post(
    "/runs/cancel",
    summary="Cancel several runs",
    description="Those named, or all that are pending, running or either.",
    status_code=204,
    response_class=Response,
    responses=problems(404, 503),
)
async def cancel_runs(body: CancelBody, runs: RunsDep, action: CancelAction = "interrupt") -> None:
    if body.status is not None:
        await runs.cancel_all(body.status)
    else:
        ids = [str(run_id) for run_id in body.run_ids or ()]
        await runs.cancel(ids, str(body.thread_id), action, wait=False)
