"""A call of a model within the run's budget: what it may take is set aside, what it took counted.

Failed calls count like others, by what their provider said or sent before it failed. Where it
counts no tokens they are reckoned, and where it names no price the catalogue's is taken; a call
without any price takes tokens alone.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from everturn.graph.budget import Budget
from everturn.graph.context import Context
from everturn.graph.models.call import Call
from everturn.graph.models.catalogue import Catalogue, Model
from everturn.graph.state import Route
from everturn.graph.steps.attempt import Prompt, ToolSchemas
from everturn.graph.steps.route import public, usage_of
from everturn.graph.steps.tokens import reckoned, tokens_of, tokens_of_schemas

_ANSWER_TOKENS = 4_000
"""An answer to a caller who names no `max_tokens`; it is the most that one may name."""
_AT_ONCE = 2
"""Models that are asked side by side in a race."""


class Tokens(NamedTuple):
    """Of one call."""

    read: int
    written: int


def counted(context: Context) -> Context:
    """Return the choices of a run whose tokens count: providers are asked for them."""
    return context.model_copy(update={"stream_usage": True})


def expected(prompt: Prompt, schemas: ToolSchemas, context: Context) -> Tokens:
    """Reckon what a call takes at most."""
    read = sum(map(tokens_of, prompt.messages))
    if context.use_tools:
        read += tokens_of_schemas(schemas)
    if context.response_schema is not None:
        read += reckoned(json.dumps(context.response_schema, ensure_ascii=False))
    return Tokens(read, context.max_tokens or _ANSWER_TOKENS)


@asynccontextmanager
async def within(
    budget: Budget | None,
    route: Route,
    call: Call | None,
    catalogue: Catalogue,
    most: Callable[[], Tokens],
) -> AsyncIterator[None]:
    """Set aside what the call in this block may take, and count what it took.

    Without a budget, or for the offline model, which has no `call`, nothing is done.

    Raises:
        Exception: one of `budget.errors`; nothing is to be called.
    """
    if budget is None or call is None:
        yield
        return
    names = [route["model"], *(rival.model_name for rival in call.rivals)]
    models, tokens = {name: catalogue[name] for name in names}, most()
    times = min(len(models), _AT_ONCE)
    dollars = times * max(model.cost(*tokens) for model in models.values())
    try:
        settle = await budget.reserve(times * sum(tokens), dollars)
    except budget.errors as error:
        error.route = public(route)  # type: ignore[attr-defined]  # those that failed before
        raise
    try:
        yield
    finally:
        # Counted also for a turn that is cancelled meanwhile.
        await asyncio.shield(settle(*_taken(call, models, tokens.read)))


def _taken(call: Call, models: Mapping[str, Model], read: int) -> tuple[int, float]:
    """Return the tokens and the US dollars of a call that is over; its prompt has `read`."""
    # They have read it too: each was about to answer when another was faster.
    outrun = [name for name, loss in call.failures.items() if loss.kind == "outrun"]
    used, cost = _used(call, read), call.answer.cost
    if cost is None:
        cost = models[call.model].cost(*used) if call.model else 0.0
    cost += sum(models[name].cost(read, 0) for name in outrun)
    return read * len(outrun) + sum(used), cost


def _used(call: Call, read: int) -> Tokens:
    answer = call.answer
    if usage := usage_of(answer):
        return Tokens(usage["input_tokens"], max(0, usage["total_tokens"] - usage["input_tokens"]))
    if not answer.started:
        return Tokens(0, 0)
    calls = json.dumps(answer.calls, ensure_ascii=False) if answer.calls else ""
    return Tokens(read, reckoned(answer.text + answer.reasoning + calls))
