"""What the agent remembers, and what it knows for one run only."""

from collections.abc import Sequence
from typing import Annotated, Literal, NotRequired

from langchain_core.messages import AnyMessage
from langgraph.channels import UntrackedValue
from langgraph.graph import add_messages

# pydantic, which draws Studio's forms from these, cannot read `typing.TypedDict` before 3.12.
from typing_extensions import TypedDict

from everturn.graph.models.blocks import Medium

Mode = Literal["primary", "retry", "fallback", "offline", "stopped", "cache"]
"""Which model a run asks: its first choice, the same once more after it failed, another one, or the
offline model; with `stopped` none. `cache` is of an answer that was kept from an earlier turn."""


class Usage(TypedDict):
    """Tokens."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class Attempt(TypedDict):
    """One model that was asked and did not answer."""

    model: str
    failure: str
    """The class of failure, a name of `graph.models.failures.Kind`."""
    message: str
    """What happened, fit for the caller: no key, no trace."""
    seconds: NotRequired[float]
    """How long it took to fail; missing where it was not asked, and where it lost a race."""
    usage: NotRequired[Usage]
    cost: NotRequired[float]
    """US dollars. Like the usage, present where the provider reported it before the failure."""


class ModelCall(TypedDict):
    """A call of a model for a step of a plan, or by a specialist, as a tool's answer carries it."""

    model: str
    failure: NotRequired[str]
    """Missing where it was answered."""
    usage: NotRequired[Usage]
    cost: NotRequired[float]
    """US dollars."""


class Cached(TypedDict):
    """Of an answer that was kept: how old it is, and what was not spent once more."""

    age: float
    """Seconds."""
    cost_saved: NotRequired[float]
    """US dollars."""
    tokens_saved: NotRequired[int]


class Answered(TypedDict):
    """The route as an answer carries it, in `response_metadata["route"]`."""

    model: str
    mode: Mode
    tried: list[Attempt]
    degraded: bool
    """The offline model stands in for models that failed."""
    usage: NotRequired[Usage]
    """Of all calls of the run so far, failed ones included where known."""
    cost: NotRequired[float]
    """US dollars, of the same calls."""
    reason: NotRequired[str]
    """Why the answer is degraded."""
    expected_back: NotRequired[str]
    """When a model may be asked again: a moment of ISO 8601, where it is known."""
    cached: NotRequired[Cached]
    """Present with mode `cache`; `model` is then who gave the answer at its time."""


class Misfit(TypedDict):
    """An answer that does not fit the schema that the caller gave."""

    text: str
    flaw: str


class Route(Answered):
    """Which model answers in this run, which were tried before, and what limits the rest of it."""

    failed: NotRequired[bool]
    """The newest of `tried` has just failed and the router has not chosen yet."""
    since: int
    """How many of `tried` failed before the newest answer: they no longer matter."""
    tools: bool
    """The run's models must take tools."""
    media: list[Medium]
    """What the user shows in this turn: the run's models must take it."""
    older_media: bool
    """Earlier turns show something, which a model can do without."""
    without_older_media: bool
    """The model is not shown it: a provider may have refused the request for it."""
    deadline: float
    """The moment at which the last model call must have ended, in the event loop's seconds."""
    trimmed: bool
    """The model is shown the current turn only."""
    corrections: int
    """How many of the model's answers had wrong tool calls, which it was asked to correct."""
    misfit: NotRequired[Misfit]
    """The newest answer, where it does not fit the schema that the caller gave."""
    correct: NotRequired[bool]
    """The model is shown that answer, and asked to correct it."""
    explained: NotRequired[str]
    """The newest failure in full: the provider's own words, and the setting that would help."""
    stopped: NotRequired[str]
    """With mode `stopped`: the class of failure that ends the run."""


class Summary(TypedDict):
    """What was said in a thread before its newest messages."""

    text: str
    through: str
    """The id of the last message that is summed up."""
    messages: int
    """How many are, from the first on."""
    tokens: int
    """Of the text, as reckoned."""
    by: NotRequired[str]
    """The model that wrote it; `offline`: a simple one, without a model."""


class Input(TypedDict):
    """What a turn brings."""

    messages: Annotated[list[AnyMessage], add_messages]


class Output(TypedDict):
    """What a turn leaves: the whole conversation; its last message is the answer."""

    messages: Annotated[list[AnyMessage], add_messages]


class State(TypedDict):
    """The channels of the agent.

    `messages` is the thread's memory. `route` is never checkpointed: models that failed in one
    turn must not be struck off the thread's next one. A run that resumes finds no route and
    starts with its first candidate again. `memories`, what is known of the user that fits the
    turn, is looked up anew in each run. `summary` is of the messages that a model is no longer
    shown, and lags behind them a little.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    route: Annotated[Route, UntrackedValue]
    memories: NotRequired[Annotated[Sequence[str], UntrackedValue]]
    summary: NotRequired[Summary | None]
