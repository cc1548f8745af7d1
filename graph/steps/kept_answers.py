"""The response cache around a node that asks a model: whoever has asked the same is answered.

Only whole answers of a provider's models are kept: none of the offline model, none that a guard has
blocked, none that `max_tokens` has cut, none of a turn that calls a tool whose results are not kept
themselves (`@declare(cache=…)`). What a turn's model would be shown decides, so there is nothing to
invalidate: another word, tool or choice is another question.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple
from uuid import uuid4

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    RemoveMessage,
    ToolMessage,
)
from langchain_core.utils.utils import LC_ID_PREFIX
from langgraph.config import get_config
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.runtime import Runtime

from everturn.graph.cache.kept import Kept, KeptAnswer
from everturn.graph.cache.key import caller_name, key_of
from everturn.graph.cache.response_cache import ResponseCache
from everturn.graph.context import Context
from everturn.graph.guards.stream import AnswerScreen
from everturn.graph.models.catalogue import OFFLINE, Catalogue
from everturn.graph.models.provider import Models
from everturn.graph.services import (
    current_guards,
    current_models,
    current_response_cache,
    current_turn_timeout,
)
from everturn.graph.state import Cached, Route, State
from everturn.graph.steps.attempt import Prompt, ask, prompt_of
from everturn.graph.steps.choice import new_route
from everturn.graph.steps.route import resumed, sign
from everturn.graph.steps.tool_calls import give_ids, take_in
from everturn.tools.kit.declare import declared
from everturn.tools.kit.toolbox import Offer

Update = dict[str, Any]

_DEFAULT_SECONDS = 3600.0
"""For a request that asks for the cache where no setting says how long."""
_LEASE = 30.0
"""Seconds that callers wait for one who asks the same: then each asks for itself."""
_MAX_CHARACTERS = 1_000_000
"""Of an answer that is kept."""
_CUT = {"length", "max_tokens", "content_filter"}
"""Reasons to end with which an answer is not whole."""
_OWNER = "langgraph_auth_user_id"
"""Set by servers alone, ours and LangGraph's: what a client says under it is left out."""


class Wanted(NamedTuple):
    """What a caller wants of the cache."""

    seconds: float
    look: bool
    """No: a new answer is wanted, and kept."""


class Asked(NamedTuple):
    """What is asked of a model in a node."""

    state: State
    context: Context
    offer: Offer
    prompt: Prompt


async def kept_or_asked(
    state: State,
    context: Context,
    offer: Offer,
    runtime: Runtime[Context],
    node: Callable[..., Awaitable[Update]],
) -> Update:
    """Return what a `node` returns that asks a model, or would have, as far as that is kept."""
    cache, models = await current_response_cache(), await current_models()
    wanted = _wanted(context, cache)
    if wanted is None or models.settings.provider_url is None:
        return await node(state, runtime=runtime)
    asked = Asked(state, context, offer, prompt_of(state, context))
    key = _key(asked, models) if _only_kept_tools(_turn(state["messages"]), offer) else None
    if key is None:
        return await node(state, runtime=runtime)
    lease = min(_LEASE, current_turn_timeout(models) / 2)
    good = partial(_fits, seconds=wanted.seconds) if wanted.look else None
    async with cache.look(key, wanted.seconds, lease, good) as look:
        if look.found and (kept := Kept.read(look.found)):
            return await _said_again(kept, asked, models)
        update = await node(state, runtime=runtime)
        look.made = _to_keep(update, offer, models.catalogue)
        return update


def _wanted(context: Context, cache: ResponseCache) -> Wanted | None:
    by_setting = cache.settings.response_cache
    if context.response_schema is not None:  # whether one fits is looked at where it is made
        return None
    match context.cache:
        case False:
            return None
        case None:
            return Wanted(by_setting, look=True) if by_setting else None
        case True | "no-cache" as said:
            return Wanted(by_setting or _DEFAULT_SECONDS, look=said is True)
        case seconds:
            return Wanted(seconds, look=True)


def _fits(text: str, seconds: float) -> bool:
    """Whether an answer is no older than this caller takes; others may have kept it longer."""
    kept = Kept.read(text)
    return kept is not None and kept.age <= seconds


def _key(asked: Asked, models: Models) -> str | None:
    context, prompt, config = asked.context, asked.prompt, get_config()
    owner = config.get("configurable", {}).get(_OWNER)
    graph = config.get("metadata", {}).get("graph_id") or "-"
    may_call = bool(asked.offer.tools) and context.use_tools
    return key_of(
        caller_name(owner),
        [str(graph), models.settings.account, *models.settings.chain, str(prompt.may_call)],
        prompt.messages,
        asked.offer.schemas if may_call else None,
        context,
    )


def _turn(messages: list[AnyMessage]) -> list[AnyMessage]:
    """What was said since the user last spoke."""
    return [*takewhile(lambda each: not isinstance(each, HumanMessage), reversed(messages))]


def _only_kept_tools(messages: list[AnyMessage], offer: Offer) -> bool:
    """Whether all tools that messages call, or answer for, have results that may be kept."""
    names = {call["name"] for m in messages if isinstance(m, AIMessage) for call in m.tool_calls}
    names |= {m.name or "" for m in messages if isinstance(m, ToolMessage)}
    tools = [offer.by_name.get(name) for name in names]
    return all(tool is not None and declared(tool).get("cache") for tool in tools)


def _to_keep(update: Update, offer: Offer, catalogue: Catalogue) -> str | None:
    """Return the answer that a node has got, as text; `None` where it is not to be kept."""
    messages, route = update.get("messages"), update.get("route")
    answer = messages[-1] if messages else None
    if not (route and isinstance(answer, AIMessage)) or route["model"] == OFFLINE:
        return None
    shortened = route["trimmed"] or route["without_older_media"]
    cut = answer.response_metadata.get("finish_reason") in _CUT
    if shortened or cut or answer.invalid_tool_calls or not _only_kept_tools([answer], offer):
        return None
    kept = Kept.of(answer, route["model"], _cost(answer, route["model"], catalogue))
    text = kept and kept.write()
    return text if text and len(text) <= _MAX_CHARACTERS else None


def _cost(answer: AIMessage, model: str, catalogue: Catalogue) -> float | None:
    """US dollars, as the provider says, or by the catalogue's prices."""
    said = answer.response_metadata.get("cost")
    if said is not None:
        return float(said)
    used = answer.usage_metadata
    if not used or model not in catalogue.listed:
        return None
    return catalogue[model].cost(used["input_tokens"], used["output_tokens"])


async def _said_again(kept: Kept, asked: Asked, models: Models) -> Update:
    """Give a kept answer as if a model had just given it, to streams and traces, too."""
    state, offer, prompt = asked.state, asked.offer, asked.prompt
    messages, answer = state["messages"], kept.message()
    if guards := await current_guards():  # others than when it was kept, perhaps
        await AnswerScreen(guards).screen(answer)
    if _is_watched():
        outcome = await ask(KeptAnswer(answer=answer), prompt, offer.schemas, asked.context)
        if outcome.answer is None:
            raise RuntimeError("a kept answer could not be given")
        answer = outcome.answer
    else:
        answer.id = f"{LC_ID_PREFIX}-{uuid4()}"
    take_in(answer, None, offer)
    chosen = state.get("route")
    new = new_route(messages, current_turn_timeout(models), tools=bool(offer.tools))
    sign(answer, _cached(chosen or resumed(new, messages) or new, kept))
    give_ids(answer, messages)
    mended = [RemoveMessage(id=REMOVE_ALL_MESSAGES), *prompt.mended] if prompt.mended else []
    # Where no model was chosen yet, the node that asks one chooses.
    route = {"route": {**chosen, "failed": False}} if chosen else {}
    return {"messages": [*mended, answer], **route}


def _is_watched() -> bool:
    """Whether a stream or a trace sees the answer being given: else that only takes time."""
    callbacks = get_config().get("callbacks")
    return bool(callbacks if isinstance(callbacks, list) else callbacks and callbacks.handlers)


def _cached(route: Route, kept: Kept) -> Route:
    """Return the route of an answer that was kept; the run's own goes on as it was."""
    cached = Cached(age=round(kept.age, 3))
    if kept.cost is not None:
        cached["cost_saved"] = kept.cost
    if kept.usage is not None:
        cached["tokens_saved"] = kept.usage["total_tokens"]
    return {**route, "model": kept.model, "mode": "cache", "degraded": False, "cached": cached}
