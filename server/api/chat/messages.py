"""The chat routes: a message in a session, answered at once or as a stream."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Header, Request, Response
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError
from sse_starlette import EventSourceResponse

from everturn.server.api.chat.answers import MessageResponse, answered, joined, streamed
from everturn.server.api.chat.approvals import ResumeRequest
from everturn.server.api.http.deps import RunsDep, SessionsDep
from everturn.server.api.http.idempotency import AfterDep, KeyDep
from everturn.server.api.http.problems import problems
from everturn.server.api.http.sse import EventStream
from everturn.server.api.http.strict_json import Router
from everturn.server.api.http.values import Few, Identifier, JsonObject, Many, Name
from everturn.server.resources.sessions import Answer, Question

router = Router(prefix="/api/chat", tags=["chat"])


CacheSeconds = Annotated[float, Field(gt=0, le=2_592_000)]
Words = Annotated[str, Field(min_length=1)]
Blocks = Annotated[Few[JsonObject], Field(min_length=1)]
_WORDS: TypeAdapter[str] = TypeAdapter(Words)
_BLOCKS: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(Blocks)


def _content(value: Any, _: ValidatorFunctionWrapHandler) -> str | list[dict[str, Any]]:
    """Read one of the two, so that an error speaks of this one alone."""
    try:
        return (_BLOCKS if isinstance(value, list) else _WORDS).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f"{each}: " for each in first["loc"][:1])
        raise PydanticCustomError("content", "{said}", {"said": place + first["msg"]}) from None


Content = Annotated[Words | Blocks, WrapValidator(_content)]
"""Words, or content blocks as LangChain, OpenAI, Anthropic, Gemini and MCP write them."""


class MessageRequest(BaseModel):
    """A message of the user, and choices for its turn."""

    model_config = ConfigDict(extra="forbid")

    message: Content = Field(
        description="What the user says: a text, or blocks such as `{type: text, text}`, "
        "`{type: image_url, image_url: {url}}`, `{type: image, mime_type, data}` or "
        "`{type: file, mime_type, filename, data}`; data is base64. Pictures and files go to "
        "models that take them."
    )
    session_id: Identifier | None = Field(
        default=None, max_length=200, description="The conversation; none begins a new one."
    )
    agent: Name | None = Field(
        default=None,
        description="The graph that answers, see GET /info; none: `agent`, or the only one.",
    )
    model: Name | Few[Name] | None = Field(
        default=None, description="Model to ask first, or several in order; see /api/chat/models."
    )
    use_tools: bool = Field(default=True, description="Let the model call tools.")
    tools: Many[Name] | None = Field(
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
    response_schema: JsonObject | None = Field(
        default=None,
        description="A JSON Schema that the answer has to fit: the answer is JSON then, and "
        "`parsed` is its value.",
    )
    user: Name | None = Field(
        default=None,
        description="One of the caller's own users, whose memories these are; none: the caller.",
    )
    use_memory: bool = Field(
        default=True, description="Use what is remembered, and let the model remember more."
    )
    temperature: float = Field(default=0.7, ge=0, le=2)
    max_tokens: int = Field(default=1000, ge=1, le=4000, description="Length of the answer.")
    cache: bool | Literal["no-cache"] | CacheSeconds | None = Field(
        default=None,
        description="An answer to exactly the same may be used again: true, or seconds that it may "
        "be old; false: neither used nor kept; no-cache: a new one, which is kept; none: as the "
        "agent or the service is set up.",
    )

    def question(self) -> Question:
        """Return the message, and what was chosen for its turn."""
        # What the caller did not choose is the graph's to choose, but for this route's defaults.
        chosen = self.model_dump(
            exclude={"message", "session_id", "agent"}, exclude_unset=True, exclude_none=True
        )
        defaults = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stream_usage": True,  # an answer says how many tokens it took
        }
        return Question(self.message, self.session_id, self.agent, {**defaults, **chosen})


@router.post(
    "/message",
    summary="Send a message",
    description="Runs one turn of the agent and returns its answer. Without a `session_id` a new "
    "session is made. The turn is in memory and in the history when the answer arrives. With "
    "`status: approval_required` nothing was called yet: decide on the `calls` with "
    "POST /api/chat/session/{session_id}/resume. Another message in place of that gives them up.",
    response_model=MessageResponse,
    responses=problems(404, 409, 503, 504),
)
async def send_message(
    body: MessageRequest, runs: RunsDep, sessions: SessionsDep, key: KeyDep
) -> Response:
    asked = sessions.question(body.question(), "/api/chat/message", stream=False)
    return await answered(runs, await runs.create_from(body.session_id, asked, key))


@router.post(
    "/message/stream",
    summary="Send a message and stream the answer",
    description="Server-sent events: `metadata` {session_id, run_id, agent, model}, then `message` "
    "{content, message_id}, `reasoning` (the same shape: what the model thinks before it answers), "
    "`tool`, `retry`, `fallback` and `reset` as they happen, of a planner `plan` {steps} and "
    "`step` {id, text, depends_on, status, result}, and always one `done` "
    "{status, model, usage, cost, route; with a `response_schema` parsed} or `error` (a problem) "
    "last. `reset` takes back what was streamed under its `message_id`; without one, all that the "
    "turn has said. An `approval` "
    "{calls} before a `done` {status: interrupted} says that tools wait to be approved: see "
    "/resume/stream. Leaving the stream stops the turn, "
    "unless it has an `Idempotency-Key`: then it goes on, and the same request joins it. "
    "A turn whose service dies goes on by itself: join it again at the `Content-Location`.",
    response_class=EventSourceResponse,
    responses=problems(404, 503),
)
async def stream_message(
    body: MessageRequest,
    request: Request,
    runs: RunsDep,
    sessions: SessionsDep,
    key: KeyDep,
    after: AfterDep,
) -> EventStream:
    asked = sessions.question(body.question(), "/api/chat/message/stream", stream=True)
    return await streamed(request, runs, await runs.create_from(body.session_id, asked, key), after)


@router.post(
    "/session/{session_id}/resume",
    summary="Answer what a session waits for",
    description="Goes on with the turn that was interrupted, with the choices it began with, and "
    "returns its answer as POST /api/chat/message does. Each tool call that waits is approved, "
    "called with other `args` (`edit`), or not called (`reject`). It may have waited through a "
    "restart of the service.",
    response_model=MessageResponse,
    responses=problems(404, 409, 503, 504),
)
async def resume_session(
    session_id: str, body: ResumeRequest, runs: RunsDep, sessions: SessionsDep, key: KeyDep
) -> Response:
    answer = Answer(body.decided(), body.answer)
    asked = sessions.answer(session_id, answer, "/api/chat/session/resume", stream=False)
    return await answered(runs, await runs.create_from(session_id, asked, key))


@router.post(
    "/session/{session_id}/resume/stream",
    summary="Answer what a session waits for and stream the rest",
    description="The same as server-sent events, those of /api/chat/message/stream.",
    response_class=EventSourceResponse,
    responses=problems(404, 409, 503),
)
async def stream_resumed(
    session_id: str,
    body: ResumeRequest,
    request: Request,
    runs: RunsDep,
    sessions: SessionsDep,
    key: KeyDep,
    after: AfterDep,
) -> EventStream:
    answer, door = Answer(body.decided(), body.answer), "/api/chat/session/resume/stream"
    asked = sessions.answer(session_id, answer, door, stream=True)
    return await streamed(request, runs, await runs.create_from(session_id, asked, key), after)


@router.get(
    "/session/{session_id}/runs/{run_id}/stream",
    summary="Join the stream of a turn again",
    description="The events of a streamed turn, also after the service was killed and started "
    "again: all of them, or with `Last-Event-ID` those after that event. A `gap` event says that "
    "some are no longer kept.",
    response_class=EventSourceResponse,
    responses=problems(404, 503),
)
async def join_turn(
    session_id: str,
    run_id: UUID,
    request: Request,
    runs: RunsDep,
    last_event_id: Annotated[
        str, Header(alias="Last-Event-ID", description="The last event that was got; -1: none.")
    ] = "-1",
) -> EventStream:
    return await joined(request, runs, session_id, str(run_id), last_event_id)
