"""Any graph of `langgraph.json`: its final state, or its events as LangGraph sends them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Self

import orjson
from fastapi import Request, Response
from langgraph.types import StreamMode
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sse_starlette import EventSourceResponse

from everturn.server.api.http.command import Command
from everturn.server.api.http.deps import RunsDep
from everturn.server.api.http.idempotency import (
    AfterDep,
    KeyDep,
    events_again,
    refuse_when_elsewhere,
    replayed,
    succeeded,
)
from everturn.server.api.http.json import dumps
from everturn.server.api.http.location import location_of
from everturn.server.api.http.problems import problem_event, problems
from everturn.server.api.http.sse import HEARTBEAT, EventStream, frame
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import Few, FewMessages, Identifier, JsonObject, Name
from everturn.server.errors import RunCancelled
from everturn.server.runs.idempotency import Repeated
from everturn.server.runs.request import RunRequest
from everturn.server.runs.run import Run
from everturn.server.runs.runs import Runs
from everturn.server.streams.feed import BEGINNING, Cursor, Event
from everturn.server.streams.modes import StreamMode as RunMode

_CANCELLED = RunCancelled("The run was cancelled before its end.")

router = Router(tags=["graphs"])


class StrictCommand(Command):
    """What to send a graph that waits, in place of an input."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("a command needs `resume`, `update` or `goto`")
        return self


class RunConfig(BaseModel):
    """What may be said of LangGraph's run config; the rest is the service's own."""

    model_config = ConfigDict(extra="forbid")

    configurable: JsonObject = Field(default_factory=dict)
    recursion_limit: int = Field(default=50, ge=1, le=1000, description="Super-steps, at most.")
    tags: Few[Name] = Field(default_factory=list)
    metadata: JsonObject = Field(default_factory=dict)
    run_name: Name | None = None

    @field_validator("configurable")
    @classmethod
    def _only_the_graphs(cls, configurable: dict[str, Any]) -> dict[str, Any]:
        if internal := [key for key in configurable if key.startswith("__")]:
            raise ValueError(f"{internal[0]}: names with `__` are internal")
        if "thread_id" in configurable:
            raise ValueError("thread_id: name the thread beside `graph`, not in its config")
        return configurable


class InvokeRequest(BaseModel):
    """One run of one graph."""

    model_config = ConfigDict(extra="forbid")

    graph: Name | None = Field(
        default=None,
        description="A name of langgraph.json, see GET /info; none: `agent`, or the only one.",
    )
    thread_id: Identifier | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The memory to use; none keeps none.",
    )
    input: Annotated[dict[str, Any] | None, FewMessages] = Field(
        default=None, description="Input of the graph's schema."
    )
    command: StrictCommand | None = Field(default=None, description="In place of `input`.")
    config: RunConfig = Field(default_factory=RunConfig, description="LangGraph's run config.")
    context: JsonObject = Field(default_factory=dict, description="Of the graph's schema.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.input is None) == (self.command is None):
            raise ValueError("give either `input` or `command`")
        if self.command is not None and self.thread_id is None:
            raise ValueError("a `command` needs the `thread_id` of the thread that waits")
        return self

    def request(self, graph: str, door: str, *modes: RunMode) -> RunRequest:
        """Return what is asked to be run, on this graph."""
        return RunRequest(
            assistant_id=graph,
            thread_id=self.thread_id,
            if_not_exists="create",
            without_memory=self.thread_id is None,
            input=self.input,
            command=self.command.model_dump(exclude_unset=True) if self.command else None,
            config=self.config.model_dump(exclude_none=True),
            context=self.context,
            stream_mode=modes,
            on_disconnect="cancel" if modes else "continue",
            history=self.thread_id is not None,
            interactive=True,
            door=door,
        )


class StreamRequest(InvokeRequest):
    """One run of one graph, and which of its events to send."""

    stream_mode: StreamMode | Few[StreamMode] = Field(
        default="values", description="LangGraph's stream modes, one or several."
    )

    def modes(self) -> list[RunMode]:
        """The modes asked for, under the names that runs have for them."""
        asked: list[StreamMode]
        asked = [self.stream_mode] if isinstance(self.stream_mode, str) else self.stream_mode
        # What LangGraph calls `messages` goes out as it comes; see `streams.modes`.
        return ["messages-tuple" if mode == "messages" else mode for mode in asked]


@router.post(
    "/invoke",
    summary="Run a graph",
    description="Runs any graph of `langgraph.json` to its end and returns its final state, with "
    "`__interrupt__` when it waits for something. With a `thread_id` the thread is remembered.",
    response_class=Response,
    responses={
        200: {"description": "The final state", "content": {"application/json": {"schema": {}}}},
        **problems(404, 409, 503, 504),
    },
)
async def invoke(body: InvokeRequest, runs: RunsDep, key: KeyDep) -> Response:
    run = await runs.create(body.request(runs.graph(body.graph), "/invoke"), key=key)
    if isinstance(run, Repeated):
        kept = await succeeded(runs, run, _CANCELLED)
        return _final(await runs.kept_state(run, kept), run)
    await run.stored()
    refuse_when_elsewhere(run)
    if run.error is not None:
        raise run.error
    if run.cancelled or run.outcome is None:
        raise _CANCELLED
    return _final(dumps(run.outcome.state), run)


def _final(state: bytes, started: Run | Repeated) -> Response:
    headers = {**location_of(started), **replayed(started)}
    return Response(state, media_type="application/json", headers=headers)


@router.post(
    "/stream",
    summary="Run a graph and stream its events",
    description="Server-sent events: `event` is a stream mode and `data` what LangGraph sends "
    "under it. An `error` event (a problem) comes last when the run fails. With `messages`, ask "
    "for `custom` as well: its `reset` takes back what was streamed under its `message_id`, since "
    "the model died half-way, and its `fallback` or `retry` says who is asked next.",
    response_class=EventSourceResponse,
    responses=problems(404, 503),
)
async def stream(
    body: StreamRequest, request: Request, runs: RunsDep, key: KeyDep, after: AfterDep
) -> EventStream:
    asked = body.request(runs.graph(body.graph), "/stream", *body.modes())
    started = await runs.create(asked, key=key)
    headers = {**location_of(started), **replayed(started)}
    if isinstance(started, Repeated):
        return EventStream(request, _frames_again(request, runs, started, after), headers=headers)
    leaves = started.request.on_disconnect == "cancel"
    return EventStream(
        request,
        _frames_of(request, started),
        headers=headers,
        on_leave=started.stop if leaves else None,
    )


async def _frames_of(request: Request, run: Run) -> AsyncGenerator[bytes]:
    """Write the events of a new run; at its end, that it was cancelled."""
    resumable = run.written is not None
    async for written in _frames(request, run.feed.follow(BEGINNING), run, resumable=resumable):
        yield written
    if run.cancelled and not run.error:
        yield frame("error", dumps(problem_event(request, {}, _CANCELLED)))


async def _frames_again(
    request: Request, runs: Runs, before: Repeated, after: Cursor
) -> AsyncGenerator[bytes]:
    """Write what a run streams, or streamed, after a place; what is not kept, as its end."""
    events = events_again(runs, before, after)
    async for written in _frames(request, events, before.run, resumable=True):
        yield written
    try:
        kept = await runs.kept(before)
    except Exception as error:
        yield frame("error", dumps(problem_event(request, {}, error)))
        return
    if kept.failure is None and kept.status != "success":
        yield frame("error", dumps(problem_event(request, {}, _CANCELLED)))


async def _frames(
    request: Request,
    following: AsyncGenerator[list[Event]],
    run: Run | None,
    *,
    resumable: bool,
) -> AsyncGenerator[bytes]:
    """Write the run's events, but for `metadata`; an error as the problem that it is."""
    async with aclosing(following) as events:
        async for news in events:
            written = []
            for event in news:
                data = event.data
                if event.name == "error":
                    error = run.error if run else None
                    data = dumps(problem_event(request, orjson.loads(data), error))
                if event.name != "metadata":
                    written.append(frame(event.name, data, event.cursor if resumable else None))
            if written or not news:
                yield b"".join(written) or HEARTBEAT
