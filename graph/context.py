"""What a caller may choose for one run; Studio shows these as the assistant's fields."""

from typing import Annotated, Literal

from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict, Field

from everturn.graph.cache.settings import MAX_SECONDS

SYSTEM_PROMPT = (
    "You are a helpful assistant. Answer in the language of the user, and briefly. "
    "Use the tools you are given when they make the answer more certain, several at once when "
    "they do not depend on each other; never invent a tool's result."
)


Caching = bool | Literal["no-cache"] | Annotated[float, Field(gt=0, le=MAX_SECONDS)]
"""What a caller may want of the response cache; a number is seconds."""


class Context(BaseModel):
    """The choices for one run. Every field has a default, so an empty context is a good one."""

    # A server may merge `configurable` into the context: names that are not ours are its own.
    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str | list[str] | None = Field(
        default=None, description="Model to ask first, or several in order; none: the chain's."
    )
    use_fallback: bool = Field(default=True, description="When a model fails, try the next one.")
    use_tools: bool = Field(default=True, description="Let the model call tools.")
    tools: list[str] | None = Field(
        default=None, description="The only tools that the model may call; none: all there are."
    )
    free_only: bool = Field(default=False, description="Only models that cost nothing.")
    require_tools: bool = Field(default=False, description="Only models that can call tools.")
    max_price: float | None = Field(
        default=None,
        ge=0,
        description="US dollars a million tokens, read or written: only models that cost no more.",
    )
    min_context: int | None = Field(
        default=None, ge=1, description="Tokens: only models that read as many."
    )
    prefer: Literal["order", "cheapest", "fastest", "health"] = Field(
        default="order", description="Which of the models that fit is asked first."
    )
    stream_policy: Literal["restart", "buffer"] = Field(
        default="restart",
        description="restart: words are shown at once, and a `reset` takes them back when a model "
        "fails half-way; buffer: an answer is shown when it is whole.",
    )
    offline_answer: bool | None = Field(
        default=None,
        description="When no model is left: the offline model answers, or an error says so; none: "
        "as the service is set up.",
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="None: the model's own."
    )
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        le=4000,
        description="Tokens of one answer; none: the model's own limit.",
    )
    stream_usage: bool = Field(
        default=False, description="Ask for a count of the tokens also where none was sent before."
    )
    window: int = Field(default=20, ge=1, description="Newest messages that the model sees.")
    max_tool_rounds: int = Field(
        default=8, ge=1, le=20, description="Tool rounds of one turn before an answer is due."
    )
    system_prompt: str = SYSTEM_PROMPT
    cache: Caching | None = Field(
        default=None,
        description="An answer to exactly the same may be used again: true, or seconds that it may "
        "be old; false: neither used nor kept; no-cache: a new one, which is kept; none: as the "
        "service is set up.",
    )


def context_of(runtime: Runtime[Context]) -> Context:
    """Return the run's context, or the defaults where the caller gave none."""
    return runtime.context or Context()
