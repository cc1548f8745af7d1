"""The runs of LangGraph's Agent Server API: on threads, and on threads of their own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from starlette.responses import StreamingResponse

from checkpoints.runs import MultitaskStrategy, RunRow, RunStatus
from server.api.agent_server import Config, Context
from server.api.deps import ThreadsDep
from server.api.errors import problems
from server.api.frames import FrameStream
from server.api.thread_state import state_as_json
from server.api.threads import CheckpointRef
from server.api.wire import dumps
from server.runs.errors import InvalidInput
from server.runs.feed import GAP, SILENT_SECONDS, Cursor, Event
from server.runs.run import RunRequest, StreamMode
from server.runs.running import CancelAction, Running
from server.runs.runs import Runs
from server.runs.thread_stream import Place, ThreadMode

router = APIRouter(tags=["runs"])


async def _runs(request: Request) -> Runs:
    return cast("Runs", request.app.state.runs)


RunsDep = Annotated[Runs, Depends(_runs)]
AfterEvent = Annotated[
    str | None, Header(alias="Last-Event-ID", description="The last event that was got; -1: none.")
]
Leaving = Annotated[bool, Query(description="Cancel the run if this client leaves before its end.")]
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
    BeforeValidator(_listed),
    Query(alias="stream_mode", description="Of the modes of the run only these, and no metadata."),
]


class SendBody(BaseModel):
    """What LangGraph's `Send` takes."""

    node: str
    input: Any = None


class CommandBody(BaseModel):
    """What LangGraph's `Command` takes."""

    resume: Any = None
    update: dict[str, Any] | list[Any] | None = None
    goto: str | SendBody | list[str | SendBody] | None = None


class RunBody(BaseModel):
    """What LangGraph's SDKs send for a run; what they send besides is not used here."""

    model_config = ConfigDict(extra="ignore")

    assistant_id: str = Field(description="An assistant's id, or a graph's name.")
    input: Any = None
    command: CommandBody | None = None
    stream_mode: StreamMode | list[StreamMode] = "values"
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    metadata: dict[str, Any] = Field(default_factory=dict)
    config: Config = Field(default_factory=dict)
    context: Context = Field(
        default_factory=dict,
        description="What the graph may choose from; the same as `config.configurable`.",
    )
    checkpoint: CheckpointRef | None = None
    checkpoint_id: str | None = None
    interrupt_before: Literal["*"] | list[str] | None = None
    interrupt_after: Literal["*"] | list[str] | None = None
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] = "delete"
    multitask_strategy: MultitaskStrategy = "enqueue"
    webhook: str | None = Field(
        default=None, max_length=2000, description="An address that is told of the run's end."
    )
    if_not_exists: Literal["create", "reject"] = "reject"
    after_seconds: float = Field(default=0, ge=0, le=31_536_000)
    durability: Literal["sync", "async", "exit"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        """A field that is null was not chosen."""
        if isinstance(body, dict):
            chosen = {key: value for key, value in body.items() if value is not None}
            if isinstance(during := chosen.pop("checkpoint_during", None), bool):  # its old name
                chosen.setdefault("durability", "async" if during else "exit")
            return chosen
        return body

    def request(self, thread_id: UUID | None) -> RunRequest:
        """Put it in the engine's words.

        Raises:
            InvalidInput: it resumes what is on no thread.
        """
        command = self.command.model_dump(exclude_unset=True) if self.command else {}
        if thread_id is None and "resume" in command:
            raise InvalidInput("command.resume: name the thread that waits, in the path.")
        asked = self.stream_mode
        modes: list[StreamMode] = asked if isinstance(asked, list) else [asked]
        chosen = {name: getattr(self, name) for name in _SAME}
        return RunRequest(
            **chosen,
            thread_id=str(thread_id) if thread_id else None,
            stream_mode=modes or ("values",),
            checkpoint=self.checkpoint.model_dump(exclude_none=True) if self.checkpoint else None,
            command=command or None,
        )


_SAME = RunBody.model_fields.keys() - {"stream_mode", "command", "checkpoint"}

_Responses = dict[int | str, dict[str, Any]]
_RUN: _Responses = {200: {"description": "The run", "content": {"application/json": {}}}}
_FINAL: _Responses = {200: {"description": "The final state", "content": {"application/json": {}}}}
_EVENTS: _Responses = {
    200: {"description": "Server-sent events", "content": {"text/event-stream": {}}}
}
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
    responses={**_FINAL, **problems(404, 409, 422, 503)},
)
async def wait_on_thread(
    thread_id: UUID, body: RunBody, request: Request, runs: RunsDep
) -> Response:
    return await _wait(runs, await runs.create(body.request(thread_id)), request)


@router.post(
    "/runs/wait",
    summary="Run and wait",
    description=_WAITS,
    response_class=Response,
    responses={**_FINAL, **problems(422, 503)},
)
async def wait_stateless(body: RunBody, request: Request, runs: RunsDep) -> Response:
    return await _wait(runs, await runs.create(body.request(None)), request)


@router.post(
    "/threads/{thread_id}/runs/stream",
    summary="Run on a thread and stream",
    description=_STREAMS,
    response_class=StreamingResponse,
    responses={**_EVENTS, **problems(404, 409, 422, 503)},
)
async def stream_on_thread(thread_id: UUID, body: RunBody, runs: RunsDep) -> FrameStream:
    return _stream(runs, await runs.create(body.request(thread_id)))


@router.post(
    "/runs/stream",
    summary="Run and stream",
    description=_STREAMS,
    response_class=StreamingResponse,
    responses={**_EVENTS, **problems(422, 503)},
)
async def stream_stateless(body: RunBody, runs: RunsDep) -> FrameStream:
    return _stream(runs, await runs.create(body.request(None)))


@router.post(
    "/threads/{thread_id}/runs",
    summary="Run on a thread in the background",
    description="Returns the run as soon as it is written down.",
    response_class=Response,
    responses={**_RUN, **problems(404, 409, 422, 503)},
)
async def start_on_thread(thread_id: UUID, body: RunBody, runs: RunsDep) -> Response:
    return await _start(runs, body.request(thread_id))


@router.post(
    "/runs",
    summary="Run in the background",
    description="Returns the run at once. Its thread goes with it, unless `on_completion` is keep.",
    response_class=Response,
    responses={**_RUN, **problems(422, 503)},
)
async def start_stateless(body: RunBody, runs: RunsDep) -> Response:
    return await _start(runs, body.request(None))


@router.post(
    "/runs/batch",
    summary="Run several in the background",
    description="Returns the runs in the order they were asked for.",
    response_class=Response,
    responses={**_RUN, **problems(422, 503)},
)
async def start_batch(bodies: list[RunBody], runs: RunsDep) -> Response:
    asked = [replace(body.request(None), background=True) for body in bodies]
    started = [await runs.create(each) for each in asked]
    return _json([await runs.acknowledge(run) for run in started])


@router.get(
    "/threads/{thread_id}/runs",
    summary="List the runs of a thread",
    description="Newest first.",
    response_class=Response,
    responses={**_RUN, **problems(404, 422, 503)},
)
async def list_runs(
    thread_id: UUID,
    runs: RunsDep,
    threads: ThreadsDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    status: RunStatus | None = None,
    select: Annotated[
        list[RunField] | None, BeforeValidator(_listed), Query(description="Only these fields.")
    ] = None,
) -> Response:
    page = await runs.of_thread(str(thread_id), limit=limit, offset=offset, status=status)
    if not page:
        await threads.row(str(thread_id))  # raises where there is no thread
    if select is None:
        return _json(page)
    chosen = [{name: getattr(run, name) for name in select} for run in page]
    return Response(dumps(chosen), media_type="application/json")


@router.get(
    "/threads/{thread_id}/runs/{run_id}",
    summary="Get a run",
    description="How it stands, and what was asked.",
    response_class=Response,
    responses={**_RUN, **problems(404, 422, 503)},
)
async def get_run(thread_id: UUID, run_id: UUID, runs: RunsDep) -> Response:
    return _json(await runs.get(str(run_id), str(thread_id)))


@router.delete(
    "/threads/{thread_id}/runs/{run_id}",
    summary="Delete a run",
    description="A run that is under way is cancelled first, by its own route.",
    status_code=204,
    responses=problems(404, 409, 422, 503),
)
async def delete_run(thread_id: UUID, run_id: UUID, runs: RunsDep) -> None:
    await runs.delete(str(run_id), str(thread_id))


@router.get(
    "/threads/{thread_id}/runs/{run_id}/join",
    summary="Wait for a run",
    description=_WAITS,
    response_class=Response,
    responses={**_FINAL, **problems(404, 422, 503)},
)
async def join_run(
    thread_id: UUID,
    run_id: UUID,
    request: Request,
    runs: RunsDep,
    cancel_on_disconnect: Leaving = False,
) -> Response:
    run = await runs.find(str(run_id), str(thread_id))
    if isinstance(run, Running):
        return await _wait(runs, run, request, ends_it=cancel_on_disconnect)

    async def body() -> AsyncIterator[bytes]:
        left = cancel_on_disconnect
        try:
            async with aclosing(runs.ended(run)) as waiting:
                async for _ in waiting:
                    yield b"\n"
            left = False
            yield dumps(await runs.final_state(run))
        finally:
            if left:
                runs.leave(str(run_id), str(thread_id))

    return StreamingResponse(body(), media_type="application/json")


@router.get(
    "/threads/{thread_id}/runs/{run_id}/stream",
    summary="Join the stream of a run",
    description="What it streams from now on; with `Last-Event-ID` all after that event, and with "
    "`-1` all of it. A `gap` event says that some are no longer kept.",
    response_class=StreamingResponse,
    responses={**_EVENTS, **problems(404, 422, 503)},
)
async def join_stream(
    thread_id: UUID,
    run_id: UUID,
    runs: RunsDep,
    last_event_id: AfterEvent = None,
    only: OnlyModes = None,
    cancel_on_disconnect: Leaving = False,
) -> FrameStream:
    place = str(run_id), str(thread_id)
    return await _join_stream(runs, *place, last_event_id, only, ends_it=cancel_on_disconnect)


@router.get(
    "/runs/{run_id}/stream",
    summary="Join the stream of a run on a thread of its own",
    description="As on a thread.",
    response_class=StreamingResponse,
    responses={**_EVENTS, **problems(404, 422, 503)},
)
async def join_stateless_stream(
    run_id: UUID,
    runs: RunsDep,
    last_event_id: AfterEvent = None,
    only: OnlyModes = None,
    cancel_on_disconnect: Leaving = False,
) -> FrameStream:
    place = str(run_id), None
    return await _join_stream(runs, *place, last_event_id, only, ends_it=cancel_on_disconnect)


@router.get(
    "/threads/{thread_id}/stream",
    summary="Follow a thread",
    description="What all its runs stream from now on, or after `Last-Event-ID`; `-` is all that "
    "is kept. `lifecycle` is the beginning and end of each run, `state_update` each edit of the "
    "state. It does not end.",
    response_class=StreamingResponse,
    responses={**_EVENTS, **problems(404, 422, 503)},
)
async def follow_thread(
    thread_id: UUID,
    runs: RunsDep,
    threads: ThreadsDep,
    stream_modes: Annotated[list[ThreadMode] | None, Query()] = None,
    stream_mode: Annotated[list[ThreadMode] | None, Query()] = None,
    last_event_id: AfterEvent = None,
) -> FrameStream:
    after = None
    if last_event_id is not None and (after := Place.parse(last_event_id)) is None:
        raise InvalidInput("Last-Event-ID: must be the id of an event of this thread, or -.")
    thread = await threads.row(str(thread_id))

    async def state() -> bytes:
        found = await threads.states.read(await threads.row(thread.thread_id))
        return dumps({"state": state_as_json(found)})

    modes = stream_modes or stream_mode or ["run_modes"]
    events = await runs.follow_thread(thread.thread_id, after, modes, state)
    return FrameStream(events, with_ids=True, headers={})


@router.post(
    "/threads/{thread_id}/runs/{run_id}/cancel",
    summary="Cancel a run",
    description="`interrupt` keeps what it has done, `rollback` undoes it and deletes the run.",
    response_class=Response,
    responses=problems(404, 422, 503),
)
async def cancel_run(
    thread_id: UUID,
    run_id: UUID,
    runs: RunsDep,
    wait: bool = False,
    action: CancelAction = "interrupt",
) -> Response:
    await runs.cancel([str(run_id)], str(thread_id), action, wait=wait)
    if wait:  # clients read JSON wherever the status is 200
        return Response(b"{}", media_type="application/json")
    return Response(status_code=202)


class CancelBody(BaseModel):
    """Which runs to cancel: those named, or all that stand so."""

    status: Literal["pending", "running", "all"] | None = None
    thread_id: UUID | None = None
    run_ids: list[UUID] | None = None

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
    responses=problems(404, 422, 503),
)
async def cancel_runs(body: CancelBody, runs: RunsDep, action: CancelAction = "interrupt") -> None:
    if body.status is not None:
        await runs.cancel_all(body.status)
    else:
        ids = [str(run_id) for run_id in body.run_ids or ()]
        await runs.cancel(ids, str(body.thread_id), action, wait=False)


async def _start(runs: Runs, asked: RunRequest) -> Response:
    run = await runs.create(replace(asked, background=True))
    row = await runs.acknowledge(run)
    return _json(row, _where(run, ""))


def _stream(runs: Runs, run: Running) -> FrameStream:
    def leave() -> None:
        if run.request.on_disconnect == "cancel":
            runs.stop(run)

    return FrameStream(
        run.feed.follow(Cursor()),
        with_ids=run.request.stream_resumable,
        headers=_where(run, "/stream"),
        on_leave=leave,
    )


async def _join_stream(
    runs: Runs,
    run_id: str,
    thread_id: str | None,
    last_event_id: str | None,
    modes: Collection[StreamMode] | None,
    *,
    ends_it: bool,
) -> FrameStream:
    after = None
    if last_event_id is not None and (after := Cursor.parse(last_event_id)) is None:
        raise InvalidInput("Last-Event-ID: must be the id of an event of this run, or -1.")
    place = f"/threads/{thread_id}/runs/{run_id}" if thread_id else f"/runs/{run_id}"
    events = await runs.follow(run_id, thread_id, after)
    return FrameStream(
        events if modes is None else _only(events, modes),
        with_ids=True,
        headers={"Content-Location": place, "Location": f"{place}/stream"},
        on_leave=(lambda: runs.leave(run_id, thread_id)) if ends_it else None,
    )


async def _only(
    events: AsyncGenerator[list[Event]], modes: Collection[StreamMode]
) -> AsyncGenerator[list[Event]]:
    """Keep the events of some modes, of subgraphs too, and what nobody may miss."""
    names = {mode.partition("-")[0] for mode in modes} | {"error", GAP}
    async with aclosing(events):
        async for news in events:
            kept = [each for each in news if _mode(each.name) in names]
            if kept or not news:  # nothing is a heartbeat
                yield kept


def _mode(event: str) -> str:
    return event.partition("|")[0].partition("/")[0]


async def _wait(
    runs: Runs, run: Running, request: Request, *, ends_it: bool | None = None
) -> Response:
    """Answer at the end; while it takes long, line breaks keep the connection."""
    headers = _where(run, "/join")
    if ends_it is None:
        ends_it = run.request.on_disconnect == "cancel"
    ended = asyncio.ensure_future(run.done.wait())
    awaited: set[asyncio.Future[Any]] = {ended}
    if run.request.on_disconnect == "cancel":
        awaited.add(asyncio.ensure_future(_left(request)))
    await asyncio.wait(awaited, timeout=SILENT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for left in awaited - {ended}:
        if left.done() and left.result():
            runs.stop(run)
            await run.done.wait()
        left.cancel()
    if ended.done():
        return Response(dumps(final_state(run)), media_type="application/json", headers=headers)

    async def body() -> AsyncIterator[bytes]:
        left = True
        try:
            while not ended.done():
                yield b"\n"
                await asyncio.wait({ended}, timeout=SILENT_SECONDS)
            left = False
            yield dumps(final_state(run))
        finally:
            ended.cancel()
            if left and ends_it:
                runs.stop(run)

    return StreamingResponse(body(), media_type="application/json", headers=headers)


async def _left(request: Request) -> bool:
    """Wait for the client to leave; its body has been read."""
    return bool((await request.receive())["type"] == "http.disconnect")


def final_state(run: Running) -> Any:
    """What a client that waited is told."""
    if run.error is not None:
        return {"__error__": run.told}
    outcome = run.outcome
    if outcome is None:
        return {}
    if outcome.interrupts and isinstance(outcome.values, dict | None):
        return {**(outcome.values or {}), "__interrupt__": list(outcome.interrupts)}
    return outcome.values


def _where(run: Running, rest: str) -> Mapping[str, str]:
    own = f"/runs/{run.row.run_id}"
    place = f"/threads/{run.thread_id}{own}" if run.request.lasting else own
    return {"Content-Location": place, **({"Location": place + rest} if rest else {})}


def _json(value: RunRow | list[RunRow], headers: Mapping[str, str] | None = None) -> Response:
    return Response(dumps(value), media_type="application/json", headers=headers)
