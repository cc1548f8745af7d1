"""The chat routes: a message in a session, answered at once or as a stream."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from langgraph.types import StreamMode
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from everturn.server.api.chat.approvals import ResumeRequest, WaitingCall
from everturn.server.api.chat.events import CHAT_MODES, ending_of, events_of, state_of, summary
from everturn.server.api.http.deps import ConversationsDep, EngineDep, MetricsDep, SettingsDep
from everturn.server.api.http.json import dumps
from everturn.server.api.http.problems import problems, told
from everturn.server.api.sse import EventStream, event
from everturn.server.observe.turns import Observation, observed
from everturn.server.resources.approvals import calls_in
from everturn.server.resources.sessions import Question, Resumption
from everturn.server.turns.engine import Engine, Turn
from everturn.server.turns.outcome import Outcome

router = APIRouter(prefix="/api/chat", tags=["chat"])


class MessageRequest(BaseModel):
    """A message of the user, and choices for its turn."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(min_length=1, description="What the user says.")
    session_id: str | None = Field(
        default=None, max_length=200, description="The conversation; none begins a new one."
    )
    agent: str = Field(default="agent", description="The graph that answers, see GET /info.")
    model: str | list[str] | None = Field(
        default=None, description="Model to ask first, or several in order; see /api/chat/models."
    )
    use_tools: bool = Field(default=True, description="Let the model call tools.")
    tools: list[str] | None = Field(
        default=None,
        description="The only tools that the model may call, see /api/tools; none: all there are.",
    )
    use_fallback: bool = Field(default=True, description="When a model fails, try the next.")
    free_only: bool = Field(default=False, description="Only models that cost nothing.")
    require_tools: bool = Field(default=False, description="Only models that can call tools.")
    max_price: float | None = Field(
        default=None, ge=0, description="Only models of at most so many dollars a million tokens."
    )
    min_context: int | None = Field(
        default=None, ge=1, description="Only models that read so many tokens."
    )
    prefer: Literal["order", "cheapest", "fastest", "health"] = Field(
        default="order", description="Which of the models that fit is asked first."
    )
    stream_policy: Literal["restart", "buffer"] = Field(
        default="restart", description="Show words at once and take them back, or whole answers."
    )
    offline_answer: bool | None = Field(
        default=None, description="When no model is left: an offline answer, or an error."
    )
    temperature: float = Field(default=0.7, ge=0, le=2)
    max_tokens: int = Field(default=1000, ge=1, le=4000, description="Length of the answer.")

    def question(self, stream_modes: Sequence[StreamMode] = ()) -> Question:
        """Put it in the engine's words."""
        # What the caller did not choose is the graph's to choose, but for this route's defaults.
        chosen = self.model_dump(
            exclude={"message", "session_id", "agent"}, exclude_unset=True, exclude_none=True
        )
        defaults = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stream_usage": True,  # an answer says how many tokens it took
        }
        return Question(
            self.message, self.session_id, self.agent, {**defaults, **chosen}, stream_modes
        )


class MessageResponse(BaseModel):
    """The answer of one turn, stored before it is sent."""

    session_id: str
    status: Literal["completed", "approval_required", "interrupted"] = Field(
        description="approval_required: `calls` wait for a person; interrupted: the graph waits "
        "for something else, see `metadata`."
    )
    response: str
    calls: list[WaitingCall] = Field(description="Tool calls that wait to be approved.")
    model: str | None = Field(description="The model that answered.")
    tools_used: list[str]
    usage: dict[str, int] = Field(description="Tokens of all model calls of the turn.")
    cost: float | None = Field(description="US dollars; null where no provider named a price.")
    route: dict[str, Any] = Field(
        description="`mode` (primary, fallback, offline), `model`, and who was `tried` before."
    )
    metadata: dict[str, Any] = Field(
        description="`agent`, the answer's `message_id`, and `status`: completed, or interrupted "
        "with the `interrupts` that wait."
    )


@router.post(
    "/message",
    summary="Send a message",
    description="Runs one turn of the agent and returns its answer. Without a `session_id` a new "
    "session is made. The turn is in memory and in the history when the answer arrives. With "
    "`status: approval_required` nothing was called yet: decide on the `calls` with "
    "POST /api/chat/session/{session_id}/resume. Another message in place of that gives them up.",
    response_model=MessageResponse,
    responses=problems(404, 409, 413, 422, 500, 503, 504),
)
async def send_message(
    body: MessageRequest, conversations: ConversationsDep, engine: EngineDep, metrics: MetricsDep
) -> Response:
    with observed(metrics, "/api/chat/message") as seen:
        turn, _ = await conversations.begin(body.question())
        seen.session_id = turn.thread_id
        seen.outcome = outcome = await engine.run(turn)
    return _response(turn, outcome)


@router.post(
    "/message/stream",
    summary="Send a message and stream the answer",
    description="Server-sent events: `metadata` {session_id, agent, model}, then `message` "
    "{content, message_id}, `reasoning` (the same shape: what the model thinks before it answers), "
    "`tool`, `fallback` and `reset` as they happen, and always one `done` "
    "{status, model, usage, cost, route} or `error` (a problem) last. `reset` takes back what was "
    "streamed under its `message_id`. An `approval` {calls} before a `done` {status: interrupted} "
    "says that tools wait to be approved: see /resume/stream. Leaving the stream stops the turn.",
    response_class=EventSourceResponse,
    responses=problems(404, 413, 422, 500, 503),
)
async def stream_message(
    body: MessageRequest,
    request: Request,
    conversations: ConversationsDep,
    engine: EngineDep,
    metrics: MetricsDep,
    settings: SettingsDep,
) -> EventStream:
    turn, model = await conversations.begin(body.question(CHAT_MODES))
    seen = observed(metrics, "/api/chat/message/stream")
    return EventStream(_events(turn, model, request, engine, seen), grace=settings.shutdown_grace)


@router.post(
    "/session/{session_id}/resume",
    summary="Answer what a session waits for",
    description="Goes on with the turn that was interrupted, with the choices it began with, and "
    "returns its answer as POST /api/chat/message does. Each tool call that waits is approved, "
    "called with other `args` (`edit`), or not called (`reject`). It may have waited through a "
    "restart of the service.",
    response_model=MessageResponse,
    responses=problems(404, 409, 413, 422, 500, 503, 504),
)
async def resume_session(
    session_id: str,
    body: ResumeRequest,
    conversations: ConversationsDep,
    engine: EngineDep,
    metrics: MetricsDep,
) -> Response:
    with observed(metrics, "/api/chat/session/resume") as seen:
        seen.session_id = session_id
        resumption = Resumption(session_id, body.decided(), body.answer)
        turn, _ = await conversations.resume(resumption)
        seen.outcome = outcome = await engine.run(turn)
    return _response(turn, outcome)


@router.post(
    "/session/{session_id}/resume/stream",
    summary="Answer what a session waits for and stream the rest",
    description="The same as server-sent events, those of /api/chat/message/stream.",
    response_class=EventSourceResponse,
    responses=problems(404, 409, 413, 422, 500, 503),
)
async def stream_resumed(
    session_id: str,
    body: ResumeRequest,
    request: Request,
    conversations: ConversationsDep,
    engine: EngineDep,
    metrics: MetricsDep,
    settings: SettingsDep,
) -> EventStream:
    resumption = Resumption(session_id, body.decided(), body.answer, CHAT_MODES)
    turn, model = await conversations.resume(resumption)
    seen = observed(metrics, "/api/chat/session/resume/stream")
    return EventStream(_events(turn, model, request, engine, seen), grace=settings.shutdown_grace)


async def _events(
    turn: Turn,
    model: str | None,
    request: Request,
    engine: Engine,
    observation: AbstractContextManager[Observation],
) -> AsyncGenerator[ServerSentEvent]:
    """Run a turn and say what happens."""
    yield event("metadata", {"session_id": turn.thread_id, "agent": turn.graph, "model": model})
    with observation as seen:
        seen.session_id = turn.thread_id
        seen.status = "cancelled"  # unless it ends
        try:
            async with engine.stream(turn) as parts:
                async for part in parts:
                    if isinstance(part, Outcome):
                        seen.outcome = part
                        for name, data in ending_of(part):
                            yield event(name, data)
                    else:
                        for name, data in events_of(part):
                            yield event(name, data)
        except Exception as error:  # the stream has begun: its status can no longer say so
            seen.error = error
            yield event("error", told(request, error))


def _response(turn: Turn, outcome: Outcome) -> Response:
    """Write the answer of a turn that is stored: by `dumps`, which takes what a graph may hold."""
    answer, calls = outcome.answer, calls_in(outcome.interrupts)
    state = state_of(outcome)
    body = MessageResponse(
        session_id=str(turn.thread_id),
        status="approval_required" if calls else state["status"],
        response=answer.text if answer else "",
        calls=[WaitingCall.model_validate(call) for call in calls],
        tools_used=outcome.tools_used,
        metadata={
            "agent": turn.graph,
            "message_id": answer.id if answer else None,
            **state,
        },
        **summary(outcome),
    )
    return Response(dumps(body), media_type="application/json")
