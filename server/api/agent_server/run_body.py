"""What a client asks of a run, as LangGraph's SDKs write it."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from everturn.checkpoints.sql.runs import MultitaskStrategy
from everturn.server.api.agent_server.bodies import CheckpointRef, Config, Context
from everturn.server.api.http.command import Command
from everturn.server.api.http.values import Few, FewMessages, JsonObject, Many, Name
from everturn.server.errors import ContextTwice, InvalidInput
from everturn.server.runs.request import RunRequest
from everturn.server.streams.modes import StreamMode


class RunBody(BaseModel):
    """What LangGraph's SDKs send for a run; what they send besides is not used here."""

    model_config = ConfigDict(extra="ignore")

    assistant_id: Name = Field(description="An assistant's id, or a graph's name.")
    input: Annotated[Any, FewMessages] = None
    command: Command | None = None
    stream_mode: StreamMode | Few[StreamMode] = "values"
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    metadata: JsonObject = Field(default_factory=dict)
    config: Config = Field(default_factory=dict)
    context: Context = Field(
        default_factory=dict,
        description="What the graph may choose from; the same as `config.configurable`.",
    )
    checkpoint: CheckpointRef | None = None
    checkpoint_id: Name | None = None
    interrupt_before: Literal["*"] | Many[Name] | None = None
    interrupt_after: Literal["*"] | Many[Name] | None = None
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] = "delete"
    multitask_strategy: MultitaskStrategy = "enqueue"
    webhook: str | None = Field(
        default=None, max_length=2000, description="Where the run's end is reported, by POST."
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

    def request(self, thread_id: UUID | None, door: str = "/runs") -> RunRequest:
        """Return what is asked to be run; `door` is the route that asks, for the metrics.

        Raises:
            InvalidInput: it resumes what is on no thread.
            ContextTwice: context is given in both ways.
        """
        command = self.command.model_dump(exclude_unset=True) if self.command else {}
        if thread_id is None and "resume" in command:
            raise InvalidInput("command.resume: name the thread that waits, in the path.")
        if self.context and self.config.get("configurable"):
            raise ContextTwice("Give either `context` or `config.configurable`, not both.")
        asked = self.stream_mode
        modes: list[StreamMode] = asked if isinstance(asked, list) else [asked]
        chosen = {name: getattr(self, name) for name in _SAME}
        return RunRequest(
            **chosen,
            thread_id=str(thread_id) if thread_id else None,
            stream_mode=modes or ("values",),
            checkpoint=self.checkpoint.model_dump(exclude_none=True) if self.checkpoint else None,
            command=command or None,
            door=door,
        )


_SAME = RunBody.model_fields.keys() - {"stream_mode", "command", "checkpoint"}
