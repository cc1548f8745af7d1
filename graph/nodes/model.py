"""Asking a model: the node `model`, and `offline`, which answers when nobody else is left."""

from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, RemoveMessage, SystemMessage
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import merge_configs
from langchain_core.tools import BaseTool
from langgraph.config import get_config
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.runtime import Runtime
from structlog import get_logger

from graph.context import Context, context_of
from graph.errors import ProviderFailed
from graph.models.failures import Failure, failure_of, flaw_of
from graph.models.heard import Heard
from graph.routing import first_route
from graph.services import current_models
from graph.state import Attempt, Route, State
from graph.window import mend, tool_rounds, window

log = get_logger(__name__)

Update = dict[str, Any]
Chat = Runnable[Any, AIMessage]


class Node(Protocol):
    """What LangGraph calls with the state and, by name, with what the run brings along."""

    def __call__(self, state: State, *, runtime: Runtime[Context]) -> Awaitable[Update]: ...


def model_node(tools: Sequence[BaseTool] = ()) -> Node:
    """Return the node that asks the run's current model, which may call `tools`."""

    async def model(state: State, *, runtime: Runtime[Context]) -> Update:
        context, models = context_of(runtime), current_models()
        route = state.get("route")
        if route is None:
            candidates = models.candidates(context, require_tools=context.use_tools and bool(tools))
            if not candidates:
                nobody = Route(model="none", mode="primary", tried=[])
                return _failed(nobody, Failure("no_candidate", "no configured model fits"))
            route = first_route(candidates)
        return await _ask(models.chat_model(route["model"]), route, tools, state, runtime)

    return model


def offline_node(tools: Sequence[BaseTool] = ()) -> Node:
    """Return the node that answers without any provider, and says why."""

    async def offline(state: State, *, runtime: Runtime[Context]) -> Update:
        route = state["route"]
        chat = current_models().offline(because=route["tried"][-1]["message"])
        update = await _ask(chat, route, tools, state, runtime)
        if "messages" not in update:
            raise ProviderFailed(f"Nobody could answer: {update['route']['tried'][-1]['message']}")
        return update

    return offline


async def _ask(
    chat: BaseChatModel,
    route: Route,
    tools: Sequence[BaseTool],
    state: State,
    runtime: Runtime[Context],
) -> Update:
    """Ask once: a complete answer joins the conversation, anything less is a failure."""
    context = context_of(runtime)
    mended = mend(state["messages"])
    history = mended or state["messages"]
    prompt = [SystemMessage(context.system_prompt), *window(history, context.window)]
    offered = tools if context.use_tools else ()
    may_call = tool_rounds(history) < context.max_tool_rounds
    heard = Heard()

    asked = _prepared(chat, offered, context, may_call=may_call)
    answer = await _complete(asked, prompt, heard)
    if isinstance(answer, AIMessage) and answer.tool_calls and not offered:
        answer = Failure("unoffered_tool", "the model calls a tool though it was offered none")
    elif isinstance(answer, AIMessage) and answer.tool_calls and not may_call:
        answer = Failure("tool_loop", "the model calls tools without end")
    if isinstance(answer, Failure):
        if heard.chars:
            # Whoever watched has seen words of an answer that will never be: take them back.
            runtime.stream_writer(_reset(heard, route, answer))
        return _failed(route, answer)

    _sign(answer, route)
    replaced = [RemoveMessage(id=REMOVE_ALL_MESSAGES), *mended] if mended else []
    return {"messages": [*replaced, answer], "route": route}


async def _complete(chat: Chat, prompt: Sequence[BaseMessage], heard: Heard) -> AIMessage | Failure:
    try:
        answer = await chat.ainvoke(prompt, merge_configs(get_config(), {"callbacks": [heard]}))
    except Exception as error:
        return failure_of(error)
    if heard.broken_tool_call:
        return Failure("malformed", "the model's tool call is not valid JSON")
    return flaw_of(answer) or answer


def _prepared(
    chat: BaseChatModel, tools: Sequence[BaseTool], context: Context, *, may_call: bool
) -> Chat:
    """Bind what the caller chose; out of rounds, the tools are shown but may not be called."""
    choices: dict[str, Any] = {"temperature": context.temperature, "max_tokens": context.max_tokens}
    if not tools:
        return chat.bind(**choices)
    if not may_call:
        choices["tool_choice"] = "none"
    return chat.bind_tools(tools, **choices)


def _failed(route: Route, failure: Failure) -> Update:
    log.warning("model_failed", model=route["model"], failure=failure.kind, detail=failure.detail)
    attempt = Attempt(model=route["model"], failure=failure.kind, message=failure.message)
    return {"route": Route(**{**route, "tried": [*route["tried"], attempt], "failed": True})}


def _reset(heard: Heard, route: Route, failure: Failure) -> dict[str, Any]:
    return {
        "type": "reset",
        "message_id": heard.message_id,
        "attempt": len(route["tried"]) + 1,
        "model": route["model"],
        "reason": failure.kind,
        "chars": heard.chars,
    }


def _sign(answer: AIMessage, route: Route) -> None:
    """Write into the answer what must outlast the run: who gave it, and when."""
    answer.response_metadata["route"] = route
    answer.additional_kwargs["timestamp"] = datetime.now(UTC).isoformat()
