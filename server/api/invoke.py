"""Any graph of `langgraph.json`: its final state, or its events as LangGraph sends them."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Self

from fastapi import APIRouter, Request, Response
from langgraph.types import Command, StreamMode
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sse_starlette import EventSourceResponse, ServerSentEvent

from everturn.server.api.http.deps import EngineDep, MetricsDep, SettingsDep
from everturn.server.api.http.json import dumps
from everturn.server.api.http.problems import problems, told
from everturn.server.api.sse import EventStream, event
from everturn.server.errors import InvalidInput
from everturn.server.observe.turns import observed
from everturn.server.streams.modes import public
from everturn.server.turns.engine import Engine, Turn
from everturn.server.turns.outcome import Outcome

router = APIRouter(tags=["graphs"])


class CommandRequest(BaseModel):
    """What to tell a graph that waits, in place of an input."""

    model_config = ConfigDict(extra="forbid")

    resume: Any = Field(default=None, description="The answer to its interrupt.")
    update: dict[str, Any] | None = Field(default=None, description="Changes to its state.")
    goto: str | list[str] = Field(default_factory=list, description="Nodes to go to.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("a command needs `resume`, `update` or `goto`")
        return self


class RunConfig(BaseModel):
    """What may be said of LangGraph's run config; the rest is the service's own."""

    model_config = ConfigDict(extra="forbid")

    configurable: dict[str, Any] = Field(default_factory=dict)
    recursion_limit: int = Field(default=50, ge=1, le=1000, description="Super-steps, at most.")
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)
    run_name: str | None = None

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

    graph: str = Field(default="agent", description="A name of langgraph.json, see GET /info.")
    thread_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The memory to use; none keeps none.",
    )
    input: dict[str, Any] | None = Field(default=None, description="Input of the graph's schema.")
    command: CommandRequest | None = Field(default=None, description="In place of `input`.")
    config: RunConfig = Field(default_factory=RunConfig, description="LangGraph's run config.")
    context: dict[str, Any] = Field(default_factory=dict, description="Of the graph's schema.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.input is None) == (self.command is None):
            raise ValueError("give either `input` or `command`")
        if self.command is not None and self.thread_id is None:
            raise ValueError("a `command` needs the `thread_id` of the thread that waits")
        return self

    def turn(self, stream_modes: Sequence[StreamMode] = ()) -> Turn:
        """Put it in the engine's words."""
        command = self.command and Command(**self.command.model_dump(exclude_unset=True))
        return Turn(
            graph=self.graph,
            input=command or self.input,
            thread_id=self.thread_id,
            context=self.context,
            config=self.config.model_dump(exclude_none=True),
            stream_modes=stream_modes,
        )


class StreamRequest(InvokeRequest):
    """One run of one graph, and which of its events to send."""

    stream_mode: StreamMode | list[StreamMode] = Field(
        default="values", description="LangGraph's stream modes, one or several."
    )

    def modes(self) -> list[StreamMode]:
        """The modes asked for, as a list."""
        return [self.stream_mode] if isinstance(self.stream_mode, str) else self.stream_mode


@router.post(
    "/invoke",
    summary="Run a graph",
    description="Runs any graph of `langgraph.json` to its end and returns its final state, with "
    "`__interrupt__` when it waits for something. With a `thread_id` the thread is remembered.",
    response_class=Response,
    responses={
        200: {"description": "The final state", "content": {"application/json": {}}},
        **problems(404, 409, 413, 422, 500, 503, 504),
    },
)
async def invoke(body: InvokeRequest, engine: EngineDep, metrics: MetricsDep) -> Response:
    with observed(metrics, "/invoke") as seen:
        seen.session_id = body.thread_id
        seen.outcome = outcome = await engine.run(_turn(engine, body))
    return Response(dumps(_final_state(outcome)), media_type="application/json")


@router.post(
    "/stream",
    summary="Run a graph and stream its events",
    description="Server-sent events: `event` is a stream mode and `data` what LangGraph sends "
    "under it. An `error` event (a problem) comes last when the run fails. With `messages`, ask "
    "for `custom` as well: its `reset` takes back what was streamed under its `message_id`, since "
    "the model died half-way, and its `fallback` says who is asked next.",
    response_class=EventSourceResponse,
    responses=problems(404, 413, 422, 500, 503),
)
async def stream(
    body: StreamRequest,
    request: Request,
    engine: EngineDep,
    metrics: MetricsDep,
    settings: SettingsDep,
) -> EventStream:
    turn = _turn(engine, body, body.modes())
    engine.check(turn)

    async def events() -> AsyncGenerator[ServerSentEvent]:
        with observed(metrics, "/stream") as seen:
            seen.session_id = turn.thread_id
            seen.status = "cancelled"  # unless it ends
            try:
                async with engine.stream(turn) as parts:
                    async for part in parts:
                        if isinstance(part, Outcome):
                            seen.outcome = part
                        else:
                            yield event(part.mode, public(part.data))
            except Exception as error:  # the stream has begun: its status can no longer say so
                seen.error = error
                yield event("error", told(request, error))

    return EventStream(events(), grace=settings.shutdown_grace)


def _turn(engine: Engine, body: InvokeRequest, stream_modes: Sequence[StreamMode] = ()) -> Turn:
    engine.graphs.fixed(body.graph)  # raises where there is none
    if body.input == {}:
        raise InvalidInput(f"The input for the graph {body.graph!r} is empty.")
    return body.turn(stream_modes)


def _final_state(outcome: Outcome) -> Any:
    if outcome.interrupts and isinstance(outcome.values, dict | None):
        return {**(outcome.values or {}), "__interrupt__": list(outcome.interrupts)}
    return outcome.values
