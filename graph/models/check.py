"""Trying models out: what each can do, how long it takes, and what is wrong where it does not.

Each model gets three short calls, through the client that turns go through. Nothing is printed and
nothing is remembered: no circuit opens, no metric counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage

from everturn.graph.models.call import Call
from everturn.graph.models.diagnosis import Listing, Problem, problem_of, working_url
from everturn.graph.models.failures import CallFailed, Failure, failure_of
from everturn.graph.models.provider import Models

_TEXT = "Answer with one word: OK"
_STREAM = "Count from one to ten, in words."
_CALCULATION = "Use the tool calculator: what is 6 * 7?"
_CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Calculate an expression.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string", "description": "Such as 2 + 2"}},
            "required": ["expression"],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One call; times are in seconds."""

    seconds: float
    first_token: float | None = None
    failure: Failure | None = None


@dataclass(slots=True)
class ModelCheck:
    """What one model did; a trial is `None` where it was not worth a call any more."""

    name: str
    text: Trial | None = None
    stream: Trial | None = None
    tools: Trial | None = None
    pieces: int = 0
    """Pieces of text that the stream came in."""
    called: bool = False
    """It called the tool it was asked to call."""
    usage: tuple[int, int] | None = None
    """Tokens read and written by one call, where the provider counts them."""
    refused: list[str] = field(default_factory=list)
    """Parameters that the provider refused; the service leaves them out."""
    problem: Problem | None = None
    """Why it does not answer."""

    @property
    def answers(self) -> bool:
        """Whether it can take turns. Without tools it still can."""
        return self.failure is None and self.stream is not None

    @property
    def failure(self) -> Failure | None:
        """What kept it from answering."""
        failures = (trial.failure for trial in (self.text, self.stream) if trial)
        return next((failure for failure in failures if failure), None)


async def check_models(models: Models, names: Sequence[str]) -> tuple[list[ModelCheck], Listing]:
    """Try models side by side, and ask the provider what it lists; there must be a provider."""
    listing, checks = await asyncio.gather(
        _listing(models), asyncio.gather(*(_check(models, name) for name in names))
    )
    for check in checks:
        if check.failure:
            check.problem = problem_of(check.name, check.failure, models.settings, listing)
    return checks, listing


async def _listing(models: Models) -> Listing:
    try:
        await models.refresh()
    except CallFailed as error:
        url = await working_url(models.settings, error.failure)
        return Listing(failure=error.failure, working_url=url)
    return Listing(models.catalogue.listed)


async def _check(models: Models, name: str) -> ModelCheck:
    """Try one model, for as long as a turn may take; stop at the first failure."""
    check = ModelCheck(name)
    chat = models.network_model(name)
    end = asyncio.get_running_loop().time() + models.settings.turn_timeout
    # As in a turn: one that has no successor is waited for.
    patience = None if name in models.settings.chain[:-1] else models.settings.turn_timeout

    async def trial(ask: Callable[[Call], Awaitable[None]]) -> Trial:
        return await _trial(ask, Call(end=end, first_token_timeout=patience))

    async def text(call: Call) -> None:
        _count(check, await chat.ainvoke(_TEXT, call=call))

    async def stream(call: Call) -> None:
        async for chunk in chat.astream(_STREAM, call=call):
            check.pieces += bool(chunk.text)
            _count(check, chunk)

    async def tools(call: Call) -> None:
        answer = await chat.bind_tools([_CALCULATOR]).ainvoke(_CALCULATION, call=call)
        _count(check, answer)
        check.called = any(each["name"] == "calculator" for each in answer.tool_calls)

    check.text = await trial(text)
    if not check.failure:
        check.stream = await trial(stream)
    if not check.failure:
        check.tools = await trial(tools)
    check.refused = chat.traits.refused
    return check


async def _trial(ask: Callable[[Call], Awaitable[None]], call: Call) -> Trial:
    now = asyncio.get_running_loop().time
    begin, failure = now(), None
    try:
        await ask(call)
    except Exception as error:
        failure = failure_of(error)
    return Trial(now() - begin, call.first_token, failure)


def _count(check: ModelCheck, answer: AIMessage) -> None:
    """Keep the tokens of an answer. Some providers count only once they are asked to."""
    if answer.usage_metadata:
        check.usage = (
            answer.usage_metadata["input_tokens"],
            answer.usage_metadata["output_tokens"],
        )
