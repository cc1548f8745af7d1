"""Asking a model: the node `model`, and `offline`, which answers when no model is left."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from langchain_core.messages import AIMessage, RemoveMessage
from langgraph.errors import GraphBubbleUp
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.runtime import Runtime
from structlog import get_logger

from everturn.graph.context import Context, context_as
from everturn.graph.errors import AgentError, ProviderFailed
from everturn.graph.guards.stream import AnswerScreen
from everturn.graph.models.advice import explained
from everturn.graph.models.blocks import PLURALS
from everturn.graph.models.call import Call
from everturn.graph.models.catalogue import OFFLINE
from everturn.graph.models.circuits import UNSUPPORTED
from everturn.graph.models.failures import Failure
from everturn.graph.models.provider import Models
from everturn.graph.services import (
    current_budget,
    current_guards,
    current_models,
    current_turn_timeout,
    offered_tools,
)
from everturn.graph.state import Route, State
from everturn.graph.steps.attempt import Outcome, Prompt, ask, prompt_of, room_of
from everturn.graph.steps.choice import (
    candidates,
    choose,
    follow,
    left_out,
    new_route,
    offline_route,
    situation,
)
from everturn.graph.steps.kept_answers import kept_or_asked
from everturn.graph.steps.memories import memories_of_turn
from everturn.graph.steps.parsing import parse, with_correction
from everturn.graph.steps.policy import Ask, has_successor, rivals_of
from everturn.graph.steps.route import answered, failed, resumed, sign, taken_back
from everturn.graph.steps.spending import counted, expected, within
from everturn.graph.steps.summary import summed_up
from everturn.graph.steps.tool_calls import give_ids, misuses, take_in
from everturn.tools.kit.toolbox import Offer

log = get_logger(__name__)

Update = dict[str, Any]

_MAX_CORRECTIONS = 2
_UNASKED = {
    "no_candidate": "no configured model fits",
    "circuit_open": "all models have failed a moment ago",
    "invalid_api_key": "the provider refused the API key a moment ago",
    **{kind: f"the model takes no {PLURALS[medium]}" for kind, medium in UNSUPPORTED.items()},
}


Offering = Callable[[State, Context], Awaitable[Offer]]
"""Says what a graph's model may call, where that is not what the context's tools are."""


class Node(Protocol):
    """What LangGraph calls with the state and, by name, with what the run brings along."""

    def __call__(self, state: State, *, runtime: Runtime[Context]) -> Awaitable[Update]: ...


def model_node(
    *, tools: bool | Offering = False, last: bool = False, kind: type[Context] = Context
) -> Node:
    """Return the node that asks the run's current model.

    At the start of a run it chooses that model, so that a turn without a failure never visits the
    router. A bug in this node is a failure like any other.

    Args:
        tools: The model may call tools: those that the context chooses, or those that a function
            offers.
        kind: What the graph's context is, with the defaults of its model.
        last: No node comes after this one: a failure ends the run, and takes the question out of
            the thread.
    """

    async def model(state: State, *, runtime: Runtime[Context], offer: Offer) -> Update:
        budget, models = current_budget(), await current_models()
        context = context_as(runtime, kind)
        ends: tuple[type[Exception], ...] = (AgentError, GraphBubbleUp)
        if budget is not None:
            context, ends = counted(context), (*ends, *budget.errors)
        known, call, outcome = state.get("route"), None, None
        timeout = current_turn_timeout(models)
        route = known or new_route(state["messages"], timeout, tools=bool(offer.tools))
        try:
            if known is None:
                route = await _first_choice(route, state, context, models)
            if route.get("failed"):
                return _unanswered(route, state, last=last)
            room = room_of(models.catalogue[route["model"]], offer.schemas, context)
            prompt = prompt_of(state, context, trimmed=route["trimmed"], room=room)
            prompt = with_correction(prompt, route)
            call = await _call(route, context, models)
            chat = models.chat_model(route["model"])
            most = partial(expected, prompt, offer.schemas, context)
            async with within(budget, route, call, models.catalogue, most):
                outcome = await ask(chat, prompt, offer.schemas, context, call)
            route, failure = await _judged(route, call, outcome, models, offer, context)
            if outcome.answer is not None and failure is None:
                return _remembered(outcome.answer, route, prompt, state)
        except ends:
            raise
        except Exception:
            log.exception("model_node_failed", model=route["model"])
            route = failed(route, Failure("internal", "an error inside the service"))
        if outcome is not None:
            _take_back(outcome, call, route, runtime)
        return _unanswered(route, state, last=last)

    async def kept_or_new(state: State, *, runtime: Runtime[Context]) -> Update:
        context = context_as(runtime, kind)
        offer = await _offered(tools, state, context)
        # First what joins the prompt, which decides whether an answer is kept.
        state, newer = await _joined(state, context, runtime)
        ask_one = partial(model, offer=offer)
        return {**await kept_or_asked(state, context, offer, runtime, ask_one), **newer}

    return kept_or_new


async def _joined(
    state: State, context: Context, runtime: Runtime[Context]
) -> tuple[State, Update]:
    """Add what joins the prompt; where that fails by a bug, the turn goes on without."""
    newer: Update = {}
    try:
        state, newer = await memories_of_turn(state, context, runtime)
        state, summary = await summed_up(state, context)
    except GraphBubbleUp:
        raise
    except Exception:
        log.exception("prompt_not_joined")
        return {**state, "summary": None}, newer
    return state, {**newer, **summary}


def offline_node(*, tools: bool | Offering = False, kind: type[Context] = Context) -> Node:
    """Return the node that answers without any provider, and says why."""

    async def offline(state: State, *, runtime: Runtime[Context]) -> Update:
        context, models = context_as(runtime, kind), await current_models()
        offer, route = await _offered(tools, state, context), state.get("route")
        if route is None:  # resumed here: the reason is lost with the route
            unasked = new_route(state["messages"], current_turn_timeout(models), tools=False)
            route = offline_route(unasked, "the run was broken off")
        chat = models.offline(because=route.get("reason", "unknown"))
        cause = route["tried"][-1]["message"] if route["tried"] else route.get("reason")
        log.warning("offline_answer", reason=cause, detail=route.get("reason"))
        prompt = prompt_of(state, context)
        outcome = await ask(chat, prompt, offer.schemas, context)
        if outcome.answer is None or outcome.failure is not None:
            raise ProviderFailed(f"No model could answer: {route.get('reason')}")
        take_in(outcome.answer, None, offer)
        blocked = None
        if guards := await current_guards():
            screen = AnswerScreen(guards)
            await screen.screen(outcome.answer)
            blocked = screen.blocked_by
        if blocked is None and parse(outcome.answer, context):
            raise ProviderFailed("The offline model writes by rule: it cannot fill the schema.")
        return _remembered(outcome.answer, route, prompt, state)

    return offline


async def _offered(tools: bool | Offering, state: State, context: Context) -> Offer:
    if callable(tools):
        return await tools(state, context)
    return await offered_tools(context, tools=tools)


async def _first_choice(route: Route, state: State, context: Context, models: Models) -> Route:
    """Start a run; where no model can be asked, it starts with that failure."""
    earlier = resumed(route, state["messages"])
    names = [model.name for model in candidates(route, context, models)]
    if earlier and earlier["model"] in {*names, OFFLINE}:
        return earlier
    first = models.first_wish(context) or next(iter(names), "none")
    step = await choose(route, context, models)
    if isinstance(step, Ask):
        return follow(route, step, first=first, offline_answer=True)
    reason = _UNASKED.get(step.kind, "an error inside the service")
    last = models.newest_failure if step.kind in {"circuit_open", "invalid_api_key"} else None
    detail = explained(last) if last else ""
    return failed(route, Failure(step.kind, reason, detail), model=first)


def _unanswered(route: Route, state: State, *, last: bool) -> Update:
    if last:
        return {"route": route, "messages": taken_back(state["messages"])}
    return {"route": route}


async def _call(route: Route, context: Context, models: Models) -> Call | None:
    """Limit the call, have its answer screened, and add the models that may be asked beside it."""
    if route["model"] == OFFLINE:
        return None
    call, after = Call(end=route["deadline"]), models.settings.hedge_after
    now, model = await situation(route, context, models), models.catalogue[route["model"]]
    if not has_successor(model, now):
        call.first_token_timeout = models.settings.turn_timeout
    if after is not None:
        call.rivals = [models.network_model(rival.name) for rival in rivals_of(model, now)]
        call.hedge_after = after
    if route["older_media"]:
        names = {model.name, *(rival.model_name for rival in call.rivals)}
        call.left_out = {name: left_out(models.catalogue[name], route, now) for name in names}
    if guards := await current_guards():
        call.screen = AnswerScreen(guards)
    return call


async def _judged(
    route: Route,
    call: Call | None,
    outcome: Outcome,
    models: Models,
    offer: Offer,
    context: Context,
) -> tuple[Route, Failure | None]:
    """Record the attempt in the route and in the breaker; return what is wrong with it."""
    breaker, failure, answer = models.breaker, outcome.failure, outcome.answer
    if answer is not None and failure is None:
        take_in(answer, call.written if call else None, offer)
        route, failure = _read(answer, route, call, offer, context)
    if call is not None:
        for loser, loss in call.failures.items():
            _log(loser, loss)
            if loss.kind != "outrun":
                models.newest_failure = loss
            route = failed(route, loss, model=loser)
            await breaker.failed(loser, loss)
        if call.model not in {"", route["model"]}:
            route = {**route, "model": call.model, "mode": "fallback"}
    if failure is not None:
        _log(route["model"], failure, seconds=round(outcome.seconds, 3))
        models.newest_failure = failure
        await breaker.failed(route["model"], failure)
        spent = call.answer if call else None
        return failed(route, failure, seconds=outcome.seconds, received=spent), failure
    if call is not None:
        await breaker.succeeded(route["model"], call.first_token)
        call.sign(answer)
    return route, None


def _read(
    answer: AIMessage, route: Route, call: Call | None, offer: Offer, context: Context
) -> tuple[Route, Failure | None]:
    """Say what is wrong with what a whole answer calls or says."""
    if misuses(answer, offer.tools):
        route = {**route, "corrections": route["corrections"] + 1}
        if route["corrections"] > _MAX_CORRECTIONS:
            return route, Failure("wrong_tool_call", "the model calls tools wrongly")
    elif not _is_blocked(call) and (misfit := parse(answer, context)):
        # What it says is not in the failure, which is logged.
        failure = Failure("schema_mismatch", "the answer does not fit response_schema")
        return {**route, "misfit": misfit}, failure
    return route, None


def _is_blocked(call: Call | None) -> bool:
    """Whether a guard's refusal stands in place of the answer, which no model would better."""
    return call is not None and call.screen is not None and call.screen.blocked_by is not None


def _log(model: str, failure: Failure, **more: float) -> None:
    log.warning(
        "model_failed",
        model=model,
        failure=failure.kind,
        reason=failure.message,
        detail=failure.detail,
        **more,
    )


def _take_back(
    outcome: Outcome, call: Call | None, route: Route, runtime: Runtime[Context]
) -> None:
    """Emit a custom event `reset` where clients have seen words that are no answer."""
    if call is None or not call.answer.started:
        return
    if not call.streamed and outcome.answer is None:
        return  # not streamed: LangChain shows an answer only when it is whole
    attempt = route["tried"][-1]
    runtime.stream_writer(
        {
            "type": "reset",
            "message_id": outcome.message_id,
            "attempt": len(route["tried"]),
            "model": attempt["model"],
            "reason": attempt["failure"],
            "chars": len(call.answer.text),
        }
    )


def _remembered(answer: AIMessage, route: Route, prompt: Prompt, state: State) -> Update:
    """A complete answer joins the conversation; a thread that was mended is written anew."""
    route = answered(route, answer)
    sign(answer, route)
    give_ids(answer, state["messages"])
    replaced = [RemoveMessage(id=REMOVE_ALL_MESSAGES), *prompt.mended] if prompt.mended else []
    return {"messages": [*replaced, answer], "route": route}
