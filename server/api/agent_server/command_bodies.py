"""The commands of the event protocol, version 2, as its clients send them.

Names and meaning are those of the package `langchain-protocol`; members that it does not name are
passed over.
"""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AliasChoices, BaseModel, Field, model_validator

from everturn.checkpoints.sql.runs import MultitaskStrategy
from everturn.server.api.agent_server.bodies import Config
from everturn.server.api.http.command import Send
from everturn.server.api.http.values import MAX_MANY, Few, FewMessages, JsonObject, Many, Name

MAX_ID = 2**53 - 1
"""The largest whole number that JavaScript knows exactly."""

Update = Annotated[dict[str, Any], FewMessages]


class _Params(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, params: Any) -> Any:
        """A member that is null was not said, but for an answer."""
        if not isinstance(params, dict):
            return params
        return {name: each for name, each in params.items() if each is not None or name in _ANY}


_ANY = frozenset({"input", "response"})


class Command(BaseModel):
    """What all commands have in common."""

    id: int = Field(ge=0, le=MAX_ID, strict=True, description="Comes back with the answer.")
    method: str = Field(max_length=100, description="Which command: `run.start`, and so on.")
    params: dict[str, Any] = Field(default_factory=dict)


class LangSmithTracer(_Params):
    """A further place for the trace; taken, and not used."""

    project_name: str | None = None
    example_id: str | None = None


class RunStart(_Params):
    """`run.start`: a run on the thread, which is made where there is none."""

    assistant_id: Name
    input: Annotated[Any, FewMessages] = None
    config: Config = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)
    langsmith_tracer: LangSmithTracer | None = None
    multitask_strategy: MultitaskStrategy = Field(
        default="enqueue",
        validation_alias=AliasChoices("multitask_strategy", "multitaskStrategy"),
    )


class InterruptAnswer(_Params):
    """The answer to one interrupt; its id alone says which."""

    interrupt_id: Name
    response: Any
    namespace: Few[Name] = Field(default_factory=list)


class InputRespond(_Params):
    """`input.respond`: the answers to one interrupt, or to several at once."""

    responses: Annotated[Many[InterruptAnswer], Field(min_length=1)]
    update: Update | None = None
    goto: Name | Send | Many[Name | Send] | None = None
    config: Config = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)
    strict_resume: bool = False

    @model_validator(mode="before")
    @classmethod
    def _several(cls, params: Any) -> Any:
        """Take one answer for a list of one."""
        if isinstance(params, dict) and "interrupt_id" in params:
            if "responses" in params:
                raise ValueError("give either `responses`, or `interrupt_id` and `response`")
            one = {name: params[name] for name in _ANSWER if name in params}
            return {**params, "responses": [one]}
        return params

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(self.answers()) < len(self.responses):
            raise ValueError("responses: there is more than one for the same interrupt")
        return self

    def answers(self) -> dict[str, Any]:
        """Return the answers by the ids of their interrupts."""
        return {each.interrupt_id: each.response for each in self.responses}


_ANSWER = InterruptAnswer.model_fields


class InputMessage(_Params):
    """A message that joins a conversation."""

    role: Literal["user", "system"]
    content: str
    name: Name | None = None
    id: Name | None = Field(default=None, description="The same message again is the same id.")


def _root(namespace: list[str]) -> list[str]:
    if namespace:
        raise ValueError("a message can join the conversation of the root only: []")
    return namespace


class InputInject(_Params):
    """`input.inject`: a message for the run under way, or for the thread."""

    message: InputMessage
    namespace: Annotated[Few[Name], AfterValidator(_root)] = Field(default_factory=list)


class StateGet(_Params):
    """`state.get`: the latest values of the thread, or of a subgraph."""

    namespace: Few[Name] = Field(default_factory=list)
    keys: Many[Name] | None = None


class ListCheckpoints(_Params):
    """`state.listCheckpoints`: what there is to fork from, newest first."""

    namespace: Few[Name] = Field(default_factory=list)
    limit: int = Field(default=10, ge=1, le=MAX_MANY)
    before: Name | None = Field(default=None, description="The id of a checkpoint.")


class StateFork(_Params):
    """`state.fork`: a run from a checkpoint."""

    checkpoint_id: Name
    input: Annotated[Any, FewMessages] = None
    config: Config = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)


class GetTree(_Params):
    """`agent.getTree`: which graphs a run has called; the newest run's where none is named."""

    run_id: UUID | None = None


class RunCancel(_Params):
    """`run.cancel`: the end of a run; of all that are under way where none is named."""

    run_id: UUID | None = None
    action: Literal["interrupt", "rollback"] = "interrupt"
    wait: bool = False
