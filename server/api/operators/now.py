"""What the service does now: for the page's place of that name, and whoever else watches."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse

from everturn.server.api.http.deps import NowDep, RunsDep
from everturn.server.api.http.hang_up import hang_up
from everturn.server.api.http.sse import EventStream, frame, while_let_in
from everturn.server.api.http.strict_json import Router
from everturn.server.observe.now.watch import Now as Watched
from everturn.server.runs.runs import Runs


class _EventsOfTick(EventSourceResponse):
    """For OpenAPI: the type of what is sent, beside its shape."""

    media_type = "text/event-stream"


router = Router(prefix="/api/now", tags=["system"])

Numbers = list[float | None]
Failures = dict[str, int]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Figures(_Shape):
    """What was done, and what is under way."""

    turns_per_second: float = Field(description="Of the last minute.")
    turns: int = Field(description="That ended in the window, as in all that follows.")
    failed: int = Field(description="Of these: with an error.")
    first_token_p50: float | None = Field(
        description="Seconds to the first token, of turns that stream; null of none. Percentiles "
        "are true within 4 %."
    )
    first_token_p95: float | None
    seconds_p50: float | None = Field(description="Seconds to the end of the answer.")
    seconds_p95: float | None
    tokens: int = Field(description="Of all calls of models.")
    cost: float = Field(description="Of all calls of models, in US dollars where known.")
    tokens_today: int = Field(description="Since midnight UTC; of one process since its start.")
    cost_today: float = Field(description="In US dollars.")
    running: int = Field(description="Runs under way at this moment.")
    waiting: int = Field(description="Runs of clients that wait for a place.")
    background_waiting: int = Field(
        description="Runs of the background that are due and wait for a process; of all processes."
    )


class Lines(_Shape):
    """The window, step by step: columns of the same length, the oldest step first."""

    time: list[float] = Field(
        description="Where each step begins, in Unix seconds; the last one is under way."
    )
    turns_per_second: Numbers = Field(description="Null: before the start.")
    first_token_p50: Numbers = Field(description="Null: no turn that streamed ended then.")
    first_token_p95: Numbers
    seconds_p50: Numbers = Field(description="Null: no turn ended then.")
    seconds_p95: Numbers
    tokens: Numbers = Field(description="In the step.")
    cost: Numbers = Field(description="In the step, in US dollars.")
    running: Numbers = Field(description="The most that were seen at once, every 5 s.")
    waiting: Numbers = Field(description="The most that were seen at once, every 5 s.")


class Point(_Shape):
    """One row of `Lines`."""

    time: float
    turns_per_second: float | None
    first_token_p50: float | None
    first_token_p95: float | None
    seconds_p50: float | None
    seconds_p95: float | None
    tokens: float | None
    cost: float | None
    running: float | None
    waiting: float | None


class ModelNow(_Shape):
    """One model."""

    name: str
    circuit: Literal["closed", "doubtful", "open", "half_open"] = Field(
        description="The breaker, as at /api/chat/models; of several processes the worst."
    )
    retry_after: float | None = Field(
        description="Seconds until it is asked again; null where nothing keeps it."
    )
    latency: float | None = Field(description="Seconds to its first token, lately; null: not yet.")
    failing: float = Field(description="Share of its calls that failed, lately.")
    calls: int = Field(description="In the window, failed ones included.")
    failures: Failures = Field(description="In the window, by class.")
    tokens: int
    cost: float = Field(description="In US dollars.")


class BreakerNow(_Shape):
    """A circuit that is not closed: of a model, of its tool calls, of an account's key."""

    subject: str
    state: Literal["doubtful", "open", "half_open"]
    retry_after: float | None


class ToolNow(_Shape):
    """One tool that was called in the window."""

    name: str
    calls: int
    failures: Failures = Field(description="By class.")
    cache_hits: int = Field(description="Calls answered by a result that another call had made.")
    seconds_p95: float | None


class _Process(_Shape):
    id: str
    name: str = Field(description="Its machine and its number there.")
    answers: bool = Field(description="It sent this.")
    heartbeat_age: float = Field(description="Seconds since it last said that it lives.")
    alive: bool = Field(description="False: it is silent; it is shown for a minute.")
    started_at: float = Field(description="Unix seconds.")
    memory: int | None = Field(description="Bytes; null where the system does not say.")
    loop_lag: float = Field(description="Seconds that its event loop was late.")
    figures: Figures


class ProcessNow(_Process):
    """One process, and what it alone does."""

    lines: Lines


class ProcessNews(_Process):
    """The same, with what is new of its lines."""

    points: list[Point]


class TurnNow(_Shape):
    """A turn that has ended."""

    run_id: str
    thread_id: str | None = Field(description="Null: it remembers nothing.")
    graph: str
    endpoint: str = Field(description="The route that asked.")
    model: str | None = Field(description="Which one answered.")
    status: Literal["success", "interrupted", "error", "cancelled"] = Field(
        description="interrupted: it waits for an answer."
    )
    error: str | None = Field(description="The class of what it failed with.")
    first_token: float | None = Field(description="Seconds; null where nothing was streamed.")
    seconds: float = Field(description="From the request to the end of the answer.")
    tokens: int
    cost: float | None = Field(description="In US dollars; null where no provider said.")
    failed_cost: float | None = Field(description="Of it: for calls that failed.")
    attempts: int = Field(description="Calls of models.")
    fallbacks: int = Field(description="How often another model was asked.")
    ended_at: float = Field(description="Unix seconds.")
    process: str = Field(description="The name of its process.")


class _News(_Shape):
    at: float = Field(description="When it was put together, in Unix seconds.")
    figures: Figures = Field(description="Of all processes together.")
    turns: list[TurnNow] = Field(
        description="The last 50 that the caller may see, the newest first; in a tick the new ones."
    )


class NowView(_News):
    """Everything that is shown."""

    window: int = Field(description="Seconds that lines and counts reach back.")
    step: int = Field(description="Seconds of one point.")
    lines: Lines = Field(description="Of all processes together.")
    models: list[ModelNow] = Field(description="Those configured, then others that were called.")
    breakers: list[BreakerNow]
    tools: list[ToolNow] = Field(description="The most called first.")
    processes: list[ProcessNow] = Field(description="The one that answers first.")


class Tick(_News):
    """What is new after a second."""

    points: list[Point] = Field(description="Each takes the place of the one of its `time`.")
    models: list[ModelNow] | None = Field(None, description="Absent where nothing has changed.")
    breakers: list[BreakerNow] | None = Field(None, description="As `models`.")
    tools: list[ToolNow] | None = Field(None, description="As `models`.")
    processes: list[ProcessNews]


@router.get(
    "",
    summary="What the service does now",
    description="Turns, times, tokens, cost and runs of the last 15 minutes, as figures and as "
    "lines; models with their breakers, tools, processes, and the last turns. For operators and "
    "monitoring, as /metrics; turns are those that the caller may see.",
    response_model=NowView,
)
async def get_now(now: NowDep) -> Response:
    return Response(await now.snapshot(), media_type="application/json")


@router.get(
    "/stream",
    summary="Watch what the service does",
    description="Server-sent events: `now` is all of /api/now, first and whenever a client missed "
    "something or there are other processes; `tick`, once a second, is what is new.",
    response_class=_EventsOfTick,
    responses={200: {"model": Tick}},
)
async def watch_now(request: Request, now: NowDep, runs: RunsDep) -> EventStream:
    return EventStream(request, while_let_in(request, _written(request, now, runs)))


async def _written(request: Request, now: Watched, runs: Runs) -> AsyncGenerator[bytes]:
    """Write what is watched, until the service stops: the client comes back to another process."""
    async with aclosing(now.watch()) as events:
        async for name, data in events:
            yield frame(name, data)
            if runs.leaving:
                hang_up(request.scope)
                return
