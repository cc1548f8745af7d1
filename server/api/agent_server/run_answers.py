"""How a run is answered: at its start, at its end, or as it goes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from everturn.checkpoints.sql.runs import MultitaskStrategy, RunRow, RunStatus
from everturn.server.api.agent_server.bodies import SELECTED, Responses, json_response
from everturn.server.api.http.hang_up import hang_up
from everturn.server.api.http.idempotency import events_again, refuse_when_elsewhere, replayed
from everturn.server.api.http.json import dumps
from everturn.server.api.http.sse import EventStream, feed_frames, was_dropped
from everturn.server.runs.idempotency import IdempotencyKey, Repeated, answer_gone
from everturn.server.runs.request import RunRequest
from everturn.server.runs.run import Run, text_of
from everturn.server.runs.runs import Runs
from everturn.server.streams.feed import GAP, SILENT_SECONDS, Cursor, Event
from everturn.server.streams.modes import StreamMode


class RunModel(BaseModel):
    """A run."""

    model_config = ConfigDict(extra="forbid")

    run_id: str
    thread_id: str
    assistant_id: str
    status: RunStatus
    metadata: dict[str, Any]
    kwargs: dict[str, Any] = Field(description="What was asked.")
    multitask_strategy: MultitaskStrategy
    created_at: datetime
    updated_at: datetime


class SelectedRun(RunModel):
    """A run, or the fields of it that were selected or are still known."""

    model_config = SELECTED


RUN: Responses = {200: {"description": "The run", "model": RunModel}}
FINAL: Responses = {
    200: {
        "description": "The final state, whatever the graph keeps in it",
        "content": {"application/json": {"schema": {}}},
    }
}
EVENTS: Responses = {
    200: {
        "description": "Server-sent events",
        "content": {"text/event-stream": {}},
    }
}

Leaving = Annotated[bool, Query(description="Cancel the run if this client leaves before its end.")]


async def started(runs: Runs, asked: RunRequest, key: IdempotencyKey | None) -> Response:
    """Answer with the run as soon as it is written down."""
    run = await runs.create(replace(asked, background=True), key=key)
    return as_json(await _written(runs, run), _where(run, ""))


async def all_started(
    runs: Runs, asked: Sequence[RunRequest], key: IdempotencyKey | None
) -> Response:
    """Answer with several runs as soon as they are written down; each is started once."""
    if key is None:  # with one, those that were started are found again
        runs.check_room(len(asked))
    keys = [key.part(number) if key else None for number in range(len(asked))]
    requests = [replace(each, background=True) for each in asked]
    found = [
        await runs.create(each, key=its_key) for each, its_key in zip(requests, keys, strict=True)
    ]
    rows = [await _written(runs, run) for run in found]
    return as_json(rows, replayed(found[0]))


async def _written(runs: Runs, run: Run | Repeated) -> RunRow:
    """Return a run's row once it is stored; of one that was started before, as it is now."""
    if isinstance(run, Run):
        return await runs.acknowledge(run)
    if run.row is None:
        raise answer_gone(run.run_id, "it was deleted since")
    return run.row


def streamed(request: Request, runs: Runs, run: Run | Repeated, last: Cursor) -> EventStream:
    """Answer with its events, from the first one on.

    Of a run that was started before, with those after the event that was got `last`.
    """
    if isinstance(run, Repeated):
        events = events_again(runs, run, last)
        where = _where(run, "/stream")
        return EventStream(request, feed_frames(events, with_ids=True), headers=where)
    resumable = run.request.stream_resumable or run.request.idempotent
    return EventStream(
        request,
        feed_frames(runs.events(run), with_ids=resumable),
        headers=_where(run, "/stream"),
        on_leave=run.stop if run.request.on_disconnect == "cancel" else None,
    )


async def joined(
    request: Request,
    runs: Runs,
    run_id: str,
    thread_id: str | None,
    last_event_id: str | None,
    modes: Collection[StreamMode] | None,
    *,
    ends_it: bool,
) -> EventStream:
    """Answer with the events of a run, wherever it is, after one of them or from now on."""
    after = Cursor.parse(last_event_id) if last_event_id else None
    if thread_id is None:
        await runs.find_stateless(run_id)  # raises where there is none
    events = await runs.follow(run_id, thread_id, after)
    return EventStream(
        request,
        feed_frames(events if modes is None else _only(events, modes), with_ids=True),
        headers=run_places(run_id, thread_id, "/stream"),
        on_leave=(lambda: runs.leave(run_id, thread_id)) if ends_it else None,
    )


async def _only(
    events: AsyncGenerator[list[Event]], modes: Collection[StreamMode]
) -> AsyncGenerator[list[Event]]:
    """Keep the events of some modes, of subgraphs too, and what every client needs."""
    names = {mode.partition("-")[0] for mode in modes} | {"error", GAP}
    async with aclosing(events):
        async for news in events:
            kept = [each for each in news if _mode(each.name) in names]
            if kept or not news:  # nothing is a heartbeat
                yield kept


def _mode(event: str) -> str:
    return event.partition("|")[0].partition("/")[0]


async def waited(
    runs: Runs, run: Run | Repeated, request: Request, *, ends_it: bool | None = None
) -> Response:
    """Answer at the end; while it takes long, line breaks keep the connection.

    Raises:
        StoreUnavailable: a store is away; the run is kept.
    """
    headers = _where(run, "/join")
    if isinstance(run, Repeated):
        return await _waited_again(runs, run, headers)
    if ends_it is None:
        ends_it = run.request.on_disconnect == "cancel"
    ended = asyncio.ensure_future(run.stored())
    awaited: set[asyncio.Future[Any]] = {ended}
    if ends_it:
        awaited.add(asyncio.ensure_future(_left(request)))
    await asyncio.wait(awaited, timeout=SILENT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for left in awaited - {ended}:
        if left.done() and left.result():
            run.stop()
            await run.done.wait()
        left.cancel()
    if ended.done():
        await ended
        refuse_when_elsewhere(run)
    if ended.done() and not run.goes_on_elsewhere:
        return Response(dumps(run.final_state), media_type="application/json", headers=headers)
    ended.cancel()
    body = _state_at_end(run, request, ends_it=ends_it)
    return StreamingResponse(body, media_type="application/json", headers=headers)


async def _state_at_end(run: Run, request: Request, *, ends_it: bool) -> AsyncIterator[bytes]:
    """Write line breaks, and the state at the end; it is too late to say that a store is away."""
    left = True
    done = asyncio.ensure_future(run.done.wait())
    try:
        while not done.done():
            yield b"\n"
            await asyncio.wait({done}, timeout=SILENT_SECONDS)
        left = False
        yield b"\n"
        if not _goes_on(run, request):
            yield dumps(run.final_state)
    finally:
        done.cancel()
        if left and ends_it and not was_dropped(request):
            run.stop()


def _goes_on(run: Run, request: Request) -> bool:
    """Where another process goes on with a run, cut off who waits: `Location` says where it is."""
    return run.goes_on_elsewhere and hang_up(request.scope)


async def _waited_again(runs: Runs, before: Repeated, headers: Mapping[str, str]) -> Response:
    """Answer with the end of a run that was started before; raises what `Runs.kept` does."""

    async def state() -> bytes:
        return await runs.kept_state(before, await runs.kept(before))

    ended = asyncio.ensure_future(state())
    await asyncio.wait({ended}, timeout=SILENT_SECONDS)
    if ended.done():
        return Response(ended.result(), media_type="application/json", headers=headers)

    async def body() -> AsyncIterator[bytes]:
        try:
            while not ended.done():
                yield b"\n"
                await asyncio.wait({ended}, timeout=SILENT_SECONDS)
            yield _result(ended)
        finally:
            ended.cancel()

    return StreamingResponse(body(), media_type="application/json", headers=headers)


def _result(ended: asyncio.Future[bytes]) -> bytes:
    """What is said in place of a problem: the status was sent long ago."""
    if error := ended.exception():
        failure = {"error": type(error).__name__, "message": text_of(error)}
        return dumps({"__error__": failure})
    return ended.result()


async def _left(request: Request) -> bool:
    """Wait for the client to leave; its body has been read."""
    return bool((await request.receive())["type"] == "http.disconnect")


def _where(run: Run | Repeated, rest: str) -> dict[str, str]:
    if isinstance(run, Repeated):
        return {**run_places(run.run_id, run.thread_id, rest), **replayed(run)}
    return run_places(run.row.run_id, run.thread_id if run.request.lasting else None, rest)


def run_places(run_id: str, thread_id: str | None, rest: str = "") -> dict[str, str]:
    """Say in headers where a run is shown, and where a client goes on with it.

    Args:
        run_id: of the run.
        thread_id: None for a run on a thread of its own.
        rest: of the path where the client goes on, `/join` or `/stream`; empty says none.
    """
    place = f"/threads/{thread_id}/runs/{run_id}" if thread_id else f"/runs/{run_id}"
    return {"Content-Location": place, **({"Location": place + rest} if rest else {})}


def as_json(value: RunRow | list[RunRow], headers: dict[str, str] | None = None) -> Response:
    """Answer with rows of runs."""
    shown = value.to_json() if isinstance(value, RunRow) else [each.to_json() for each in value]
    return json_response(shown, headers)
